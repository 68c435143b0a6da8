import { join } from "node:path";
import type { Redis } from "ioredis";
import type { Config } from "../config.ts";
import { StorageAccess } from "./access.ts";
import { ApiStorage } from "./api-storage.ts";
import { DirectoryStorage } from "./directory-storage.ts";
import { S3Storage } from "./s3-storage.ts";
import type { BlobStorage } from "./storage.ts";

/** Opens the storage that `LONGSHORE_BLOBS` names. Nothing is reached or made yet. */
export function openBlobStorage(config: Config, redis: Redis): BlobStorage {
  const { blobs, dataDirectory, queue, s3Endpoint: endpoint } = config;
  const spoolDirectory = join(dataDirectory, "spool");
  switch (blobs.kind) {
    case "directory":
      return new DirectoryStorage(blobs.path);
    case "api":
      return new ApiStorage({ url: blobs.url, access: new StorageAccess(redis, queue), spoolDirectory });
    case "s3":
      return new S3Storage({ bucket: blobs.bucket, prefix: blobs.prefix, endpoint, spoolDirectory });
    default:
      return blobs satisfies never;
  }
}
