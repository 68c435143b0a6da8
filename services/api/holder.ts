import type { Request } from "express";
import type { Holder } from "../../shared/blobs/blobs.ts";
import type { Config } from "../../shared/config.ts";
import { clientOf } from "./authenticate.ts";

/** Whose blobs those are that a request puts or uses: a key's, or, without keys, everyone's who may use the API. */
export function holderOf(request: Request, config: Config): Holder {
  const { apiKeys, blobTtlSeconds: ttlSeconds, blobQuotaBytes: quotaBytes } = config;
  return { name: apiKeys.length > 0 ? `key:${clientOf(request)}` : "local", ttlSeconds, quotaBytes };
}
