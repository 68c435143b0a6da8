/** Fields of requests that say how a process is started. */
import * as z from "zod";
import { textSchema } from "./content.ts";
import { requestBounds } from "./job-request-rules.ts";
import { absolutePathSchema } from "./paths/schemas.ts";
import { blobDigestSchema } from "./request-fields.ts";

/** Text that ends up in argv or the environment. */
export const argumentSchema = textSchema.refine((text) => !text.includes("\0"), { error: "has a NUL" });

export const layerSchema = z
  .strictObject({
    blob: blobDigestSchema.meta({
      description: "digest of a tar that was put with PUT /v1/blobs",
      examples: ["sha256:…"],
    }),
    at: absolutePathSchema,
  })
  .meta({
    id: "InputLayer",
    description:
      "files below a directory, as a read-only layer under what the job writes; they belong to the job's user, whatever " +
      "the tar says, and an image's symbolic links on the way are followed within it",
  });

export const environmentSchema = z
  .record(
    z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, { error: "is not a name: letters, digits and _ only" }),
    argumentSchema,
  )
  .refine((environment) => Object.keys(environment).length <= requestBounds.environment, {
    error: `has more than ${requestBounds.environment} variables`,
  });

/** Reference of an image, e.g. `python` or `registry.example/tools/gcc:14`; the worker resolves it. */
export const imageSchema = z
  .string()
  .max(512)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._/:@+-]*$/, { error: "is not a reference of an image" });
