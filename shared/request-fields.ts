/** Fields that requests of several kinds have. */
import * as z from "zod";
import { checkContent, textSchema } from "./content.ts";
import { isDigest } from "./digest.ts";
import { relativePathSchema } from "./paths/schemas.ts";

/** Order in which waiting jobs are taken. */
export const priorities = ["low", "normal", "high"] as const;
export type Priority = (typeof priorities)[number];

export const encodingSchema = z.enum(["utf8", "base64"]);

export const fileSchema = z
  .strictObject({
    path: relativePathSchema,
    content: z.string(),
    encoding: encodingSchema.default("utf8"),
    executable: z.boolean().default(false),
  })
  .superRefine(checkContent)
  .meta({ id: "File", description: "a file put into the working directory before the command starts" });

/** Digest of a blob that the client has put. */
export const blobDigestSchema = z
  .string()
  .refine(isDigest, { error: "is not the digest of a blob: sha256: and 64 lower-case hexadecimal digits" });

/** Bytes in a request: text, or what an encoding makes of text. */
export const contentSchema = z.union([
  textSchema,
  z.strictObject({ content: z.string(), encoding: encodingSchema.default("utf8") }).superRefine(checkContent),
]);
