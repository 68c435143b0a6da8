/** APIs whose blobs are in a directory of their own, and a client that puts some. */
import { createHash } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startApi, type RunningApi } from "../../support/api.ts";

export const MiB = 1024 * 1024;

export const keys = { alice: "key-of-alice", bob: "key-of-bob" };
export const sha256 = (content: string | Uint8Array): string => createHash("sha256").update(content).digest("hex");
export const digestOf = (content: string | Uint8Array): string => `sha256:${sha256(content)}`;

/** Headers of who has a key. */
export const as = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` });

export class BlobBench implements AsyncDisposable {
  readonly directory: string;
  readonly #redisUrl: string;

  private constructor(redisUrl: string, directory: string) {
    this.#redisUrl = redisUrl;
    this.directory = directory;
  }

  static async open(redisUrl: string): Promise<BlobBench> {
    return new BlobBench(redisUrl, await mkdtemp(join(tmpdir(), "longshore-blobs-")));
  }

  /** Starts an API, with nothing in Redis. */
  async api(environment: Record<string, string> = {}): Promise<RunningApi> {
    const running = await startApi(this.#redisUrl, { LONGSHORE_DATA: this.directory, ...environment });
    await running.api.redis.flushall();
    return running;
  }

  /** One that serves alice and bob only. */
  async withKeys(environment: Record<string, string> = {}): Promise<RunningApi> {
    return await this.api({ LONGSHORE_API_KEYS: Object.values(keys).map(sha256).join(","), ...environment });
  }

  /** Files of the storage: blobs, and what is on its way. */
  stored(): { blobs: string[]; spooled: string[] } {
    const list = (name: string): string[] => {
      const path = join(this.directory, "blobs", name);
      return existsSync(path) ? readdirSync(path) : [];
    };
    return { blobs: list("sha256"), spooled: list("spool") };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.directory, { recursive: true });
  }
}

export async function put(
  { fetch }: RunningApi,
  content: Uint8Array<ArrayBuffer> | ReadableStream,
  { query = "", headers = {} }: { query?: string; headers?: Record<string, string> } = {},
): Promise<{ status: number; body: Record<string, unknown> & { error?: { code: string; message: string } } }> {
  const response = await fetch(`/v1/blobs${query}`, { method: "PUT", body: content, headers, duplex: "half" });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

/** A body whose length nobody announces. */
export function streamOf(pieces: number, bytes: number): ReadableStream {
  return ReadableStream.from(
    (function* () {
      for (let piece = 0; piece < pieces; piece++) yield new Uint8Array(bytes).fill(piece);
    })(),
  );
}
