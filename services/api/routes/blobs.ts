/** `/v1/blobs`: contents that a client puts once and names by digest afterwards. */
import type { Request } from "express";
import * as z from "zod";
import type { Holder } from "../../../shared/blobs/blobs.ts";
import { type Digest, isDigest } from "../../../shared/digest.ts";
import { LongshoreError } from "../../../shared/errors.ts";
import { issuesToDetails } from "../../../shared/validation.ts";
import type { ApiContext } from "../context.ts";
import { holderOf } from "../holder.ts";
import { jsonContent } from "../openapi-document.ts";
import { readContent } from "../read-content.ts";
import { parameterOf, type Route } from "../route.ts";
import { sendContent } from "../send-content.ts";

const digestSchema = z
  .string()
  .refine(isDigest, { error: "is not sha256: and 64 lower-case hexadecimal digits" })
  .meta({ examples: [`sha256:${"0".repeat(64)}`] });

const blobSchema = z
  .strictObject({
    digest: digestSchema,
    bytes: z.int().min(0),
    expiresAt: z.iso.datetime().meta({ description: "when it is gone, unless it is used before" }),
  })
  .meta({ id: "Blob" });

const putQuerySchema = z.strictObject({
  digest: digestSchema
    .optional()
    .meta({ description: "what the body's digest has to be; when the blob is there already, the body is not read" }),
});

const octets = { "application/octet-stream": { schema: z.string().meta({ override: { format: "binary" } }) } };
const digestParameter = z.object({ digest: digestSchema });

export function blobRoutes(context: ApiContext): Route[] {
  const ownerOf = (request: Request): Holder => holderOf(request, context.config);
  return [putBlob(context, ownerOf), getBlob(context, ownerOf), deleteBlob(context, ownerOf)];
}

function putBlob({ blobs }: ApiContext, ownerOf: (request: Request) => Holder): Route {
  return {
    method: "put",
    path: "/v1/blobs",
    operation: {
      summary: "Put a blob",
      description:
        "Stores the body under the SHA-256 of its bytes, whatever they are. A job's layers are blobs that hold a tar, " +
        "as it is or compressed with gzip or zstd. A blob is kept for LONGSHORE_BLOB_TTL_SECONDS since it was put or " +
        "used last, and counts against the quota of the key that put it; only that key can see it.",
      operationId: "putBlob",
      tags: ["blobs"],
      requestParams: { query: putQuerySchema },
      requestBody: { required: true, content: octets },
      responses: {
        "200": { description: "you had it already; its time begins anew", content: jsonContent(blobSchema) },
        "201": { description: "it is stored", content: jsonContent(blobSchema) },
      },
    },
    errors: [
      "invalid_request",
      "unsupported_media_type",
      "blob_too_large",
      "blob_quota_exceeded",
      "redis_unavailable",
      "blobs_unavailable",
    ],
    async handle(request, response) {
      const query = putQuerySchema.safeParse(request.query);
      if (!query.success) {
        throw new LongshoreError("invalid_request", { details: issuesToDetails(query.error.issues) });
      }
      const { content, bytes: announced } = readContent(request);
      const holder = ownerOf(request);
      const blob = await blobs.put(content, holder, { digest: query.data.digest, bytes: announced });
      const { digest, bytes, expiresAt, status } = blob;
      response.location(`/v1/blobs/${digest}`).status(status === "new" ? 201 : 200);
      response.json({ digest, bytes, expiresAt: new Date(expiresAt).toISOString() } satisfies z.infer<
        typeof blobSchema
      >);
    },
  };
}

function getBlob({ blobs }: ApiContext, ownerOf: (request: Request) => Holder): Route {
  return {
    method: "get",
    path: "/v1/blobs/{digest}",
    operation: {
      summary: "Download a blob",
      description: "Also tells, with HEAD, whether a blob has to be put. Its time to live begins anew.",
      operationId: "getBlob",
      tags: ["blobs"],
      requestParams: { path: digestParameter },
      responses: { "200": { description: "the bytes of the blob", content: octets } },
    },
    errors: ["blob_not_found", "redis_unavailable", "blobs_unavailable"],
    async handle(request, response) {
      const digest = readDigest(request);
      const [isHeld] = await blobs.touch([digest], ownerOf(request));
      const bytes = isHeld === true ? await blobs.sizeOf(digest) : undefined;
      if (bytes === undefined) throw new LongshoreError("blob_not_found");
      // Whatever it is, a browser must never take it for a page of this server.
      response.attachment(digest.replace(":", "-")).type("application/octet-stream");
      response.set("x-content-type-options", "nosniff");
      await sendContent(request, response, { bytes, read: () => blobs.read(digest) });
    },
  };
}

function deleteBlob({ blobs }: ApiContext, ownerOf: (request: Request) => Holder): Route {
  return {
    method: "delete",
    path: "/v1/blobs/{digest}",
    operation: {
      summary: "Delete a blob",
      description: "Jobs that run go on with it; those that have not begun fail with `blob_unavailable`.",
      operationId: "deleteBlob",
      tags: ["blobs"],
      requestParams: { path: digestParameter },
      responses: { "204": { description: "you have it no more" } },
    },
    errors: ["blob_not_found", "redis_unavailable"],
    async handle(request, response) {
      if (!(await blobs.release(readDigest(request), ownerOf(request)))) throw new LongshoreError("blob_not_found");
      response.status(204).end();
    },
  };
}

/** Throws `blob_not_found` for what is no digest at all: no blob has it. */
function readDigest(request: Request): Digest {
  const digest = parameterOf(request, "digest");
  if (!isDigest(digest)) throw new LongshoreError("blob_not_found");
  return digest;
}
