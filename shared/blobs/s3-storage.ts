import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { Readable } from "node:stream";
import type * as S3 from "@aws-sdk/client-s3";
import { type Digest, hexOf } from "../digest.ts";
import type { BlobContent, BlobStorage } from "./storage.ts";

export interface S3StorageOptions {
  readonly bucket: string;
  /** Before the names of all objects; empty, or without a slash at its ends. */
  readonly prefix: string;
  /** Of a server that is not Amazon's; buckets are then part of the path, not of the host's name. */
  readonly endpoint: string | undefined;
  readonly spoolDirectory: string;
}

/** Amazon's client, which is large and loaded only where there is a bucket. */
type Sdk = typeof S3;

interface Connection {
  readonly sdk: Sdk;
  readonly client: S3.S3Client;
}

/** Where an endpoint of one's own has no regions, signatures still name one. */
const REGION_OF_ENDPOINTS = "us-east-1";

/**
 * Blobs as objects of a bucket. Credentials and region come from where all of Amazon's tools have them: variables such
 * as AWS_ACCESS_KEY_ID and AWS_REGION, ~/.aws, or the machine's role.
 */
export class S3Storage implements BlobStorage {
  readonly spoolDirectory: string;
  readonly #options: S3StorageOptions;
  #connection: Promise<Connection> | undefined;

  constructor(options: S3StorageOptions) {
    this.#options = options;
    this.spoolDirectory = options.spoolDirectory;
  }

  async sizeOf(digest: Digest): Promise<number | undefined> {
    const { sdk, client } = await this.#connect();
    const head = await unlessMissing(sdk, client.send(new sdk.HeadObjectCommand(this.#objectOf(digest))));
    return head?.ContentLength;
  }

  async open(digest: Digest): Promise<BlobContent | undefined> {
    const { sdk, client } = await this.#connect();
    const object = await unlessMissing(sdk, client.send(new sdk.GetObjectCommand(this.#objectOf(digest))));
    if (object === undefined) return undefined;
    const { Body: content, ContentLength: bytes } = object;
    if (!(content instanceof Readable) || bytes === undefined) throw new Error(`s3 sent blob ${digest} without a body`);
    return { bytes, content };
  }

  /** In one request, which S3 takes up to 5 GiB of: `LONGSHORE_BLOB_BYTES` allows no more. */
  async put(digest: Digest, file: string): Promise<void> {
    const { sdk, client } = await this.#connect();
    const { size } = await stat(file);
    const content = { Body: createReadStream(file), ContentLength: size };
    await client.send(new sdk.PutObjectCommand({ ...this.#objectOf(digest), ...content }));
  }

  async remove(digest: Digest): Promise<void> {
    const { sdk, client } = await this.#connect();
    await client.send(new sdk.DeleteObjectCommand(this.#objectOf(digest)));
  }

  [Symbol.dispose](): void {
    this.#connection?.then(
      ({ client }) => client.destroy(),
      () => undefined,
    );
  }

  async #connect(): Promise<Connection> {
    this.#connection ??= import("@aws-sdk/client-s3").then((sdk) => ({ sdk, client: this.#makeClient(sdk) }));
    return await this.#connection;
  }

  #makeClient({ S3Client }: Sdk): S3.S3Client {
    const { endpoint } = this.#options;
    return new S3Client({
      // What verifies a blob is its digest; servers that are not Amazon's may not know the checksums of its protocol.
      requestChecksumCalculation: "WHEN_REQUIRED",
      responseChecksumValidation: "WHEN_REQUIRED",
      ...(endpoint !== undefined && {
        endpoint,
        forcePathStyle: true,
        region: process.env["AWS_REGION"] ?? REGION_OF_ENDPOINTS,
      }),
    });
  }

  #objectOf(digest: Digest): { Bucket: string; Key: string } {
    const { bucket, prefix } = this.#options;
    return { Bucket: bucket, Key: `${prefix === "" ? "" : `${prefix}/`}sha256/${hexOf(digest)}` };
  }
}

/** HEAD has no body that could name the error; a bucket that is missing is none of this. */
async function unlessMissing<Result>(
  { S3ServiceException }: Sdk,
  request: Promise<Result>,
): Promise<Result | undefined> {
  try {
    return await request;
  } catch (error) {
    if (error instanceof S3ServiceException && (error.name === "NotFound" || error.name === "NoSuchKey"))
      return undefined;
    throw error;
  }
}
