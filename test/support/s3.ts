/** A server that speaks S3, with a bucket. */
import { readdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import S3rver from "@20minutes/s3rver";

/** The only credentials that the server knows. */
const CREDENTIALS = { AWS_ACCESS_KEY_ID: "S3RVER", AWS_SECRET_ACCESS_KEY: "S3RVER", AWS_REGION: "us-east-1" };

/** What the server puts behind the names of objects on its disk. */
const OBJECT_SUFFIX = "._S3rver_object";

export interface S3Server extends AsyncDisposable {
  readonly url: string;
  /** What a process needs in its environment to use a bucket of the server with this prefix. */
  environment(prefix: string): Readonly<Record<string, string>>;
  /** Names of the objects that the bucket has. */
  objects(): string[];
  /** Answers nobody any more. */
  stop(): Promise<void>;
}

/** Starts a server on a port of its own. */
export async function startS3(): Promise<S3Server> {
  const directory = await mkdtemp(join(tmpdir(), "longshore-s3-"));
  const bucket = "longshore-test";
  const server = new S3rver({
    address: "127.0.0.1",
    port: 0,
    silent: true,
    directory,
    configureBuckets: [{ name: bucket }],
  });
  const { port } = await server.run();
  const url = `http://127.0.0.1:${port}`;
  let stopped: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    server.httpServer.closeAllConnections();
    stopped ??= server.close();
    await stopped;
  };
  return {
    url,
    environment: (prefix) => ({
      ...CREDENTIALS,
      LONGSHORE_BLOBS: `s3://${bucket}/${prefix}`,
      LONGSHORE_S3_ENDPOINT: url,
    }),
    objects: () =>
      readdirSync(join(directory, bucket), { recursive: true, encoding: "utf8" }).flatMap((name) =>
        name.endsWith(OBJECT_SUFFIX) ? [name.slice(0, -OBJECT_SUFFIX.length)] : [],
      ),
    stop,
    async [Symbol.asyncDispose]() {
      await stop();
      await rm(directory, { recursive: true });
    },
  };
}
