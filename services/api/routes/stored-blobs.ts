/**
 * `/internal/blobs`: this API's storage of blobs, for processes of the installation that have none of their own:
 * workers of other machines. No client's key is good for it, see `shared/blobs/access.ts`.
 */
import type { Request } from "express";
import * as z from "zod";
import { STORAGE_PATH } from "../../../shared/blobs/api-storage.ts";
import { type Digest, isDigest } from "../../../shared/digest.ts";
import { LongshoreError } from "../../../shared/errors.ts";
import type { ApiContext } from "../context.ts";
import { readContent } from "../read-content.ts";
import { parameterOf, type Route } from "../route.ts";
import { sendContent } from "../send-content.ts";

const path = `${STORAGE_PATH}{digest}`;
const octets = { "application/octet-stream": { schema: z.string().meta({ override: { format: "binary" } }) } };
const common = { tags: ["operation"], requestParams: { path: z.object({ digest: z.string() }) } };

export function storedBlobRoutes({ blobs, access }: ApiContext): Route[] {
  async function authorize(request: Request): Promise<Digest> {
    const digest = parameterOf(request, "digest");
    if (!isDigest(digest)) throw new LongshoreError("blob_not_found");
    if (await access.isAuthorized(request.headers.authorization, request.method, digest)) return digest;
    throw new LongshoreError("unauthorized", { message: "only processes of this installation may use its storage" });
  }

  return [
    {
      method: "get",
      path,
      operation: {
        ...common,
        summary: "Read a stored blob, as a worker",
        operationId: "readStoredBlob",
        responses: { "200": { description: "the bytes of the blob", content: octets } },
      },
      errors: ["unauthorized", "blob_not_found", "redis_unavailable", "blobs_unavailable"],
      async handle(request, response) {
        const digest = await authorize(request);
        const bytes = await blobs.sizeOf(digest);
        if (bytes === undefined) throw new LongshoreError("blob_not_found");
        response.type("application/octet-stream");
        await sendContent(request, response, { bytes, read: () => blobs.read(digest) });
      },
    },
    {
      method: "put",
      path,
      operation: {
        ...common,
        summary: "Store a file of a job, as a worker",
        operationId: "storeBlob",
        requestBody: { required: true, content: octets },
        responses: { "204": { description: "it is stored" } },
      },
      errors: ["unauthorized", "invalid_request", "blob_too_large", "redis_unavailable", "blobs_unavailable"],
      async handle(request, response) {
        await blobs.store(readContent(request).content, await authorize(request));
        response.status(204).end();
      },
    },
  ];
}
