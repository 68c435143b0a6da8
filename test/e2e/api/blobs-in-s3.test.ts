import { createHash, randomBytes } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { startApi, type RunningApi } from "../../support/api.ts";
import { startRedis, type RedisServer } from "../../support/redis.ts";
import { startS3, type S3Server } from "../../support/s3.ts";

let redis: RedisServer;
let directory: string;
let s3: S3Server;
beforeAll(async () => {
  redis = await startRedis();
  directory = await mkdtemp(join(tmpdir(), "longshore-blobs-in-s3-"));
});
afterAll(async () => {
  await redis.stop();
  await rm(directory, { recursive: true });
});
beforeEach(async () => void (s3 = await startS3()));
afterEach(async () => {
  vi.unstubAllEnvs();
  await s3[Symbol.asyncDispose]();
});

/** An API with a bucket; the credentials are found where Amazon's client looks for them. */
async function api(more: Record<string, string> = {}): Promise<RunningApi> {
  const { LONGSHORE_BLOBS: blobs = "", LONGSHORE_S3_ENDPOINT: endpoint = "", ...aws } = s3.environment("some/prefix");
  for (const [name, value] of Object.entries(aws)) vi.stubEnv(name, value);
  const environment = { LONGSHORE_DATA: directory, LONGSHORE_BLOBS: blobs, LONGSHORE_S3_ENDPOINT: endpoint, ...more };
  const running = await startApi(redis.url, environment);
  await running.api.redis.flushall();
  return running;
}

const sha256 = (content: Uint8Array): string => createHash("sha256").update(content).digest("hex");
const put = (running: RunningApi, content: Uint8Array<ArrayBuffer>): Promise<Response> =>
  running.fetch("/v1/blobs", { method: "PUT", body: content });

test("a blob is an object of the bucket, and comes back byte for byte", async () => {
  await using running = await api();
  const content = randomBytes(9_000_001);
  expect((await put(running, content)).status).toBe(201);
  expect(s3.objects()).toEqual([`some/prefix/sha256/${sha256(content)}`]);
  const response = await running.fetch(`/v1/blobs/sha256:${sha256(content)}`);
  expect(Buffer.from(await response.arrayBuffer()).equals(content)).toBe(true);
  expect((await put(running, content)).status).toBe(200);
  const spool = join(directory, "spool");
  expect(existsSync(spool) ? readdirSync(spool) : []).toEqual([]);
});

test("a blob that nobody has is not found", async () => {
  await using running = await api();
  const response = await running.fetch(`/v1/blobs/sha256:${"0".repeat(64)}`, { method: "HEAD" });
  expect(response.status).toBe(404);
});

test("a blob whose object has gone is not found, and can be put again", async () => {
  await using running = await api();
  const content = Buffer.from("content");
  await put(running, content);
  await running.api.blobs.storage.remove?.(`sha256:${sha256(content)}`);
  expect((await running.fetch(`/v1/blobs/sha256:${sha256(content)}`)).status).toBe(404);
  await put(running, content);
  expect((await running.fetch(`/v1/blobs/sha256:${sha256(content)}`)).status).toBe(200);
});

test("a blob whose time is over is removed from the bucket", async () => {
  await using running = await api({ LONGSHORE_BLOB_TTL_SECONDS: "1" });
  await put(running, Buffer.from("content"));
  await expect.poll(() => s3.objects(), { timeout: 10_000 }).toEqual([]);
});

test("a bucket that cannot be reached is an answer of its own, and holds nothing", async () => {
  await using running = await api();
  await s3.stop();
  const response = await put(running, Buffer.from("content"));
  expect([response.status, await response.json()]).toMatchObject([503, { error: { code: "blobs_unavailable" } }]);
  expect(await running.api.redis.keys("*blobs:held*")).toEqual([]);
});
