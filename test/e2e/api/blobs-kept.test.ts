/** How much room blobs may take, and how long they are kept. */
import { randomBytes } from "node:crypto";
import { utimes, writeFile } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import type { RunningApi } from "../../support/api.ts";
import { startRedis, type RedisServer } from "../../support/redis.ts";
import { as, BlobBench, digestOf, keys, MiB, put, sha256, streamOf } from "./blob-bench.ts";

let redis: RedisServer;
beforeAll(async () => void (redis = await startRedis()));
afterAll(async () => await redis.stop());

let bench: BlobBench;
beforeEach(async () => void (bench = await BlobBench.open(redis.url)));
afterEach(() => bench[Symbol.asyncDispose]());

test.each([
  ["LONGSHORE_BLOB_BYTES", "blob_too_large"],
  ["LONGSHORE_BLOB_QUOTA_BYTES", "blob_quota_exceeded"],
])("an upload without end is refused where %s is reached, not where it ends", async (variable, code) => {
  await using running = await bench.api({ [variable]: String(MiB) });
  const sending = request(`${running.url}/v1/blobs`, { method: "PUT" });
  const answer = new Promise<IncomingMessage>((resolve, reject) => sending.on("response", resolve).on("error", reject));
  sending.write(randomBytes(2 * MiB));
  const response = await answer;
  expect([response.statusCode, await json(response)]).toMatchObject([413, { error: { code } }]);
  expect(bench.stored()).toEqual({ blobs: [], spooled: [] });
  sending.destroy();
});

test("a blob that is being removed without end is refused in time, also when the clock is put back", async () => {
  await using running = await bench.api();
  const bytes = randomBytes(1000);
  await running.api.redis.sadd("{longshore}:blobs:removing", sha256(bytes));
  const now = Date.now.bind(Date);
  let back = 0;
  const clock = vi.spyOn(Date, "now").mockImplementation(() => now() - back);
  try {
    const putting = put(running, bytes);
    // In the middle of the ten seconds for which it waits.
    await delay(2000);
    back = 3_600_000;
    const { status, body } = await putting;
    expect([status, body.error?.code]).toEqual([503, "blobs_unavailable"]);
  } finally {
    clock.mockRestore();
  }
});

describe("a blob is too large", () => {
  const environment = { LONGSHORE_BLOB_BYTES: String(MiB) };

  test("by what is announced", async () => {
    await using running = await bench.api(environment);
    const { status, body } = await put(running, randomBytes(MiB + 1));
    expect([status, body.error?.code]).toEqual([413, "blob_too_large"]);
    expect(bench.stored()).toEqual({ blobs: [], spooled: [] });
  });

  test("by what comes", async () => {
    await using running = await bench.api(environment);
    const { status, body } = await put(running, streamOf(17, MiB / 16));
    expect([status, body.error?.code]).toEqual([413, "blob_too_large"]);
    expect(bench.stored()).toEqual({ blobs: [], spooled: [] });
  });

  test("not at the limit itself", async () => {
    await using running = await bench.api(environment);
    expect((await put(running, streamOf(16, MiB / 16))).status).toBe(201);
  });
});

describe("a key's quota", () => {
  const environment = { LONGSHORE_BLOB_QUOTA_BYTES: String(MiB) };

  test("is counted over all of its blobs, and not over another's", async () => {
    await using running = await bench.withKeys(environment);
    const headers = as(keys.alice);
    expect((await put(running, randomBytes(0.75 * MiB), { headers })).status).toBe(201);
    const refused = await put(running, randomBytes(0.75 * MiB), { headers });
    expect([refused.status, refused.body.error?.code]).toEqual([413, "blob_quota_exceeded"]);
    expect((await put(running, randomBytes(0.75 * MiB), { headers: as(keys.bob) })).status).toBe(201);
    expect((await put(running, randomBytes(0.25 * MiB), { headers })).status).toBe(201);
    expect(bench.stored()).toMatchObject({ blobs: { length: 3 }, spooled: [] });
  });

  test("ends an upload of unknown length where it is used up", async () => {
    await using running = await bench.api(environment);
    const { status, body } = await put(running, streamOf(17, MiB / 16));
    expect([status, body.error?.code]).toEqual([413, "blob_quota_exceeded"]);
    expect(bench.stored()).toEqual({ blobs: [], spooled: [] });
  });

  test("holds for uploads at the same time", async () => {
    await using running = await bench.api(environment);
    const uploads = Array.from({ length: 4 }, () => put(running, randomBytes(0.6 * MiB)));
    const statuses = (await Promise.all(uploads)).map(({ status }) => status);
    expect(statuses.filter((status) => status === 201).length).toBeLessThanOrEqual(1);
    expect(bench.stored().spooled).toEqual([]);
    // What was refused counts no more.
    const charged = statuses.filter((status) => status === 201).length;
    expect((await put(running, randomBytes(charged === 1 ? 0.3 * MiB : 0.9 * MiB))).status).toBe(201);
  });

  test("counts a block for the smallest blob", async () => {
    await using running = await bench.api({ LONGSHORE_BLOB_QUOTA_BYTES: "8192" });
    for (const [content, status] of Object.entries({ a: 201, b: 201, c: 413 })) {
      expect((await put(running, Buffer.from(content))).status).toBe(status);
    }
  });

  test("is given back by what is deleted", async () => {
    await using running = await bench.api(environment);
    const content = randomBytes(0.75 * MiB);
    await put(running, content);
    expect((await running.fetch(`/v1/blobs/${digestOf(content)}`, { method: "DELETE" })).status).toBe(204);
    expect((await put(running, randomBytes(0.75 * MiB))).status).toBe(201);
  });
});

describe("a blob that was let go of", () => {
  test("and is put again before it is removed, stays", async () => {
    await using running = await bench.api();
    const content = Buffer.from("content");
    await put(running, content);
    await running.fetch(`/v1/blobs/${digestOf(content)}`, { method: "DELETE" });
    expect((await put(running, content)).status).toBe(201);
    await running.api.blobs.sweep();
    expect(await (await running.fetch(`/v1/blobs/${digestOf(content)}`)).text()).toBe("content");
  });

  test("and is put again while it is being removed, is stored when that is over", async () => {
    await using running = await bench.api();
    const content = Buffer.from("content");
    const removing = "{longshore}:blobs:removing";
    await running.api.redis.sadd(removing, sha256(content));
    const again = put(running, content);
    await expect.poll(() => bench.stored().spooled).toHaveLength(1);
    expect(bench.stored().blobs).toEqual([]);
    await running.api.redis.srem(removing, sha256(content));
    expect((await again).status).toBe(201);
    expect(bench.stored()).toEqual({ blobs: [sha256(content)], spooled: [] });
  });

  test("is removed by the next sweep when the one before it died in the middle", async () => {
    await using running = await bench.api();
    const content = Buffer.from("content");
    await put(running, content);
    await running.fetch(`/v1/blobs/${digestOf(content)}`, { method: "DELETE" });
    await running.api.redis.smove("{longshore}:blobs:doomed", "{longshore}:blobs:removing", sha256(content));
    await running.api.blobs.sweep();
    expect(bench.stored().blobs).toEqual([]);
    expect(await running.api.redis.keys("*blobs*")).toEqual([]);
  });

  test("stays while many put it, use it and let go of it at once", async () => {
    await using running = await bench.api();
    const content = Buffer.from("content");
    const path = `/v1/blobs/${digestOf(content)}`;
    const churn = async (): Promise<number> => {
      const { status } = await put(running, content);
      await running.fetch(path, { method: "DELETE" });
      await running.api.blobs.sweep();
      return status;
    };
    const statuses = await Promise.all(Array.from({ length: 20 }, churn));
    expect(statuses.every((status) => status === 200 || status === 201)).toBe(true);
    // Whoever puts it last has it, whatever was removed before.
    expect((await put(running, content)).status).toBe(201);
    await running.api.blobs.sweep();
    expect(await (await running.fetch(path)).text()).toBe("content");
  });
});

describe("a blob's time to live", () => {
  const environment = { LONGSHORE_BLOB_TTL_SECONDS: "1" };

  test("ends: nobody sees it, nothing of it is stored, and no quota counts it", async () => {
    await using running = await bench.api(environment);
    const content = randomBytes(MiB);
    await put(running, content);
    // HEAD would be a use. The ledger is asked, which is not.
    await expect.poll(() => bench.stored().blobs, { timeout: 10_000 }).toEqual([]);
    expect((await running.fetch(`/v1/blobs/${digestOf(content)}`)).status).toBe(404);
    expect((await running.post({ image: "python", layers: [{ blob: digestOf(content), at: "/a" }] })).status).toBe(404);
    expect(await running.api.redis.keys("*blobs*")).toEqual([]);
  });

  test.each([
    ["a download", (running: RunningApi, digest: string) => running.fetch(`/v1/blobs/${digest}`)],
    ["a HEAD", (running: RunningApi, digest: string) => running.fetch(`/v1/blobs/${digest}`, { method: "HEAD" })],
    [
      "a job that uses it",
      (running: RunningApi, digest: string) =>
        running.post({ image: "python", layers: [{ blob: digest, at: "/data" }] }),
    ],
  ])("begins anew with %s", async (_, use) => {
    await using running = await bench.api({ LONGSHORE_BLOB_TTL_SECONDS: "1000" });
    const content = Buffer.from("content");
    await put(running, content);
    const until = async (): Promise<number> =>
      Number(await running.api.redis.zscore("{longshore}:blobs:holds", `local ${sha256(content)}`));
    const before = await until();
    // The clock is in milliseconds, and a request may take less.
    await expect.poll(() => Date.now()).toBeGreaterThan(before - 1000 * 1000 + 1);
    expect((await use(running, digestOf(content))).ok).toBe(true);
    expect(await until()).toBeGreaterThan(before);
  });
});

test("what an upload left that died long ago is swept, and what is arriving is not", async () => {
  await using running = await bench.api();
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const slow = ReadableStream.from(
    (async function* () {
      yield Buffer.from("slow");
      await promise;
    })(),
  );
  const arriving = put(running, slow);
  await expect.poll(() => bench.stored().spooled).toHaveLength(1);
  const left = join(bench.directory, "blobs/spool/left");
  await writeFile(left, "");
  await utimes(left, new Date(0), new Date(0));
  await running.api.blobs.sweep();
  expect(bench.stored().spooled).toHaveLength(1);
  resolve(undefined);
  expect((await arriving).status).toBe(201);
});
