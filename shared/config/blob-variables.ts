/** Variables about blobs: where they live, what they may take, and what workers keep that is made of them. */
import { join } from "node:path";
import { type BlobLocation, blobLocationSchema, optional, urlOf, whole } from "./values.ts";
import type { ValuesOf, Variables } from "./variable.ts";

export const blobVariables = {
  LONGSHORE_BLOBS: {
    default: "",
    meaning:
      "where blobs live: a directory, `s3://bucket/prefix`, or the URL of an API that has them, for workers of other " +
      "machines; `blobs` in LONGSHORE_DATA when not set",
    schema: optional(blobLocationSchema),
  },
  LONGSHORE_S3_ENDPOINT: {
    default: "",
    meaning: "server that speaks S3, where it is not Amazon's; credentials come from AWS_ACCESS_KEY_ID and the like",
    schema: optional(urlOf("http", "https")),
  },
  LONGSHORE_BLOB_BYTES: {
    default: "1073741824",
    meaning: "largest blob, in bytes",
    // What S3 takes in one request.
    schema: whole(1, 5 * 1024 ** 3),
  },
  LONGSHORE_BLOB_QUOTA_BYTES: {
    default: "10737418240",
    meaning: "what the blobs of one API key may take together, in bytes",
    schema: whole(0, Number.MAX_SAFE_INTEGER),
  },
  LONGSHORE_BLOB_TTL_SECONDS: {
    default: "86400",
    meaning: "how long a blob is kept after it was put or used last",
    schema: whole(1, 31_536_000),
  },
  LONGSHORE_OUTPUT_FILES_BYTES: {
    default: "268435456",
    meaning: "what the files that a job returns may take together, in bytes; large ones become blobs",
    schema: whole(0, 5 * 1024 ** 3),
  },
  LONGSHORE_LAYER_BYTES: {
    default: "4294967296",
    meaning: "what a blob may hold that a job uses as a layer, unpacked, in bytes",
    schema: whole(1, Number.MAX_SAFE_INTEGER),
  },
  LONGSHORE_LAYER_CACHE_BYTES: {
    default: "21474836480",
    meaning: "what unpacked blobs may take on a worker's disk, in bytes; those least recently used go first",
    schema: whole(0, Number.MAX_SAFE_INTEGER),
  },
  LONGSHORE_BUILD_CACHE_BYTES: {
    default: "4294967296",
    meaning: "what compiled submissions and checkers may take on a worker's disk; those least recently used go first",
    schema: whole(0, Number.MAX_SAFE_INTEGER),
  },
  LONGSHORE_CASE_CACHE_BYTES: {
    default: "4294967296",
    meaning: "what blobs of judges' cases may take on a worker's disk, in bytes; those least recently used go first",
    schema: whole(0, Number.MAX_SAFE_INTEGER),
  },
} satisfies Variables;

export interface BlobConfig {
  readonly blobs: BlobLocation;
  /** Of a server that speaks S3 and is not Amazon's. */
  readonly s3Endpoint: string | undefined;
  /** The largest blob. */
  readonly blobBytes: number;
  /** What the blobs of one client may take together. */
  readonly blobQuotaBytes: number;
  readonly blobTtlSeconds: number;
  /** What the large files that one job returns may take together. */
  readonly outputFilesBytes: number;
  /** What one blob may hold that is a layer, unpacked. */
  readonly layerBytes: number;
  /** What unpacked blobs may take on a worker's disk. */
  readonly layerCacheBytes: number;
  /** What compiled programs of judges may take on a worker's disk. */
  readonly buildCacheBytes: number;
  /** What blobs of judges' cases may. */
  readonly caseCacheBytes: number;
}

/** @param values of the variables here, and of the one that says where blobs are when nothing else does */
export function blobConfig(values: ValuesOf<typeof blobVariables> & { readonly LONGSHORE_DATA: string }): BlobConfig {
  return {
    blobs: values.LONGSHORE_BLOBS ?? { kind: "directory", path: join(values.LONGSHORE_DATA, "blobs") },
    s3Endpoint: values.LONGSHORE_S3_ENDPOINT,
    blobBytes: values.LONGSHORE_BLOB_BYTES,
    blobQuotaBytes: values.LONGSHORE_BLOB_QUOTA_BYTES,
    blobTtlSeconds: values.LONGSHORE_BLOB_TTL_SECONDS,
    outputFilesBytes: values.LONGSHORE_OUTPUT_FILES_BYTES,
    layerBytes: values.LONGSHORE_LAYER_BYTES,
    layerCacheBytes: values.LONGSHORE_LAYER_CACHE_BYTES,
    buildCacheBytes: values.LONGSHORE_BUILD_CACHE_BYTES,
    caseCacheBytes: values.LONGSHORE_CASE_CACHE_BYTES,
  };
}
