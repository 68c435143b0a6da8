import { createHash, randomBytes } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import { mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { startApi, type RunningApi } from "../../support/api.ts";
import { startRedis, type RedisServer } from "../../support/redis.ts";

const MiB = 1024 * 1024;

let redis: RedisServer;
beforeAll(async () => void (redis = await startRedis()));
afterAll(async () => await redis.stop());

let directory: string;
beforeEach(async () => void (directory = await mkdtemp(join(tmpdir(), "longshore-blobs-"))));
afterEach(async () => await rm(directory, { recursive: true }));

const keys = { alice: "key-of-alice", bob: "key-of-bob" };
const sha256 = (content: string | Uint8Array): string => createHash("sha256").update(content).digest("hex");
const digestOf = (content: string | Uint8Array): string => `sha256:${sha256(content)}`;

async function api(environment: Record<string, string> = {}): Promise<RunningApi> {
  const running = await startApi(redis.url, { LONGSHORE_DATA: directory, ...environment });
  await running.api.redis.flushall();
  return running;
}

const withKeys = (environment: Record<string, string> = {}): Promise<RunningApi> =>
  api({ LONGSHORE_API_KEYS: Object.values(keys).map(sha256).join(","), ...environment });

const as = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` });

async function put(
  { fetch }: RunningApi,
  content: Uint8Array<ArrayBuffer> | ReadableStream,
  { query = "", headers = {} }: { query?: string; headers?: Record<string, string> } = {},
): Promise<{ status: number; body: Record<string, unknown> & { error?: { code: string; message: string } } }> {
  const response = await fetch(`/v1/blobs${query}`, { method: "PUT", body: content, headers, duplex: "half" });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

/** A body whose length nobody announces. */
function streamOf(pieces: number, bytes: number): ReadableStream {
  return ReadableStream.from(
    (function* () {
      for (let piece = 0; piece < pieces; piece++) yield new Uint8Array(bytes).fill(piece);
    })(),
  );
}

/** Files of the storage: blobs, and what is on its way. */
function stored(): { blobs: string[]; spooled: string[] } {
  const list = (name: string): string[] => {
    const path = join(directory, "blobs", name);
    return existsSync(path) ? readdirSync(path) : [];
  };
  return { blobs: list("sha256"), spooled: list("spool") };
}

describe("a blob", () => {
  test("comes back byte for byte under the digest of its bytes", async () => {
    await using running = await api();
    const content = randomBytes(3 * MiB + 1);
    const before = Date.now();
    const { status, body } = await put(running, content);
    expect([status, body]).toEqual([
      201,
      { digest: digestOf(content), bytes: content.length, expiresAt: expect.any(String) },
    ]);
    expect(Date.parse(String(body["expiresAt"]))).toBeGreaterThanOrEqual(before + 86_400_000 - 1);
    const response = await running.fetch(`/v1/blobs/${digestOf(content)}`);
    expect(response.headers.get("content-type")).toBe("application/octet-stream");
    expect(response.headers.get("x-content-type-options")).toBe("nosniff");
    expect(response.headers.get("content-length")).toBe(String(content.length));
    expect(Buffer.from(await response.arrayBuffer()).equals(content)).toBe(true);
    expect(stored()).toEqual({ blobs: [sha256(content)], spooled: [] });
  });

  test("that is empty is one, too", async () => {
    await using running = await api();
    expect((await put(running, new Uint8Array())).body).toMatchObject({ digest: digestOf(""), bytes: 0 });
    expect((await running.fetch(`/v1/blobs/${digestOf("")}`)).status).toBe(200);
  });

  test("is told by HEAD to be there or not", async () => {
    await using running = await api();
    const content = Buffer.from("content");
    const head = async (): Promise<[number, string | null]> => {
      const response = await running.fetch(`/v1/blobs/${digestOf(content)}`, { method: "HEAD" });
      return [response.status, response.headers.get("content-length")];
    };
    expect((await head())[0]).toBe(404);
    await put(running, content);
    expect(await head()).toEqual([200, "7"]);
  });

  test("that is put again is the same one", async () => {
    await using running = await api();
    const content = Buffer.from("content");
    expect((await put(running, content)).status).toBe(201);
    expect((await put(running, content)).status).toBe(200);
    expect(stored().blobs).toHaveLength(1);
  });

  test("that is there and announced by its digest is not read", async () => {
    await using running = await api();
    const content = Buffer.from("content");
    await put(running, content);
    const again = await put(running, Buffer.from("something else"), { query: `?digest=${digestOf(content)}` });
    expect([again.status, again.body["digest"]]).toEqual([200, digestOf(content)]);
  });

  test("that is not what was announced is refused, and nothing of it stays", async () => {
    await using running = await api();
    const { status, body } = await put(running, Buffer.from("other"), { query: `?digest=${digestOf("content")}` });
    expect([status, body.error]).toEqual([
      400,
      {
        code: "invalid_request",
        message: expect.any(String),
        details: [{ path: "digest", message: `is not the body's, which is ${digestOf("other")}` }],
      },
    ]);
    expect(stored()).toEqual({ blobs: [], spooled: [] });
    expect((await running.fetch(`/v1/blobs/${digestOf("other")}`)).status).toBe(404);
  });

  test("whose sender goes away is not kept", async () => {
    await using running = await api();
    const sending = request(`${running.url}/v1/blobs`, { method: "PUT", headers: { "content-length": 10 * MiB } });
    const closed = new Promise<void>((resolve) => sending.on("error", () => undefined).once("close", () => resolve()));
    sending.write(randomBytes(MiB));
    await expect.poll(() => stored().spooled).toHaveLength(1);
    sending.destroy();
    await closed;
    await expect.poll(stored).toEqual({ blobs: [], spooled: [] });
  });

  test("with a content-encoding is refused, since its bytes would be others", async () => {
    await using running = await api();
    const refused = await put(running, Buffer.from("content"), { headers: { "content-encoding": "gzip" } });
    expect([refused.status, refused.body.error?.code]).toEqual([415, "unsupported_media_type"]);
  });

  test.each(["?digest=md5:1", "?digest=sha256:ABC", "?other=1"])("is not put with %s", async (query) => {
    await using running = await api();
    expect(await put(running, Buffer.from("content"), { query })).toMatchObject({
      status: 400,
      body: { error: { code: "invalid_request" } },
    });
  });

  test.each(["sha256:", "sha256:../../../etc/passwd", digestOf("").toUpperCase(), "x"])(
    "is not found under %s",
    async (digest) => {
      await using running = await api();
      await put(running, new Uint8Array());
      const response = await running.fetch(`/v1/blobs/${encodeURIComponent(digest)}`);
      expect([response.status, await response.json()]).toMatchObject([404, { error: { code: "blob_not_found" } }]);
    },
  );
});

test.each([
  ["LONGSHORE_BLOB_BYTES", "blob_too_large"],
  ["LONGSHORE_BLOB_QUOTA_BYTES", "blob_quota_exceeded"],
])("an upload without end is refused where %s is reached, not where it ends", async (variable, code) => {
  await using running = await api({ [variable]: String(MiB) });
  const sending = request(`${running.url}/v1/blobs`, { method: "PUT" });
  const answer = new Promise<IncomingMessage>((resolve, reject) => sending.on("response", resolve).on("error", reject));
  sending.write(randomBytes(2 * MiB));
  const response = await answer;
  expect([response.statusCode, await json(response)]).toMatchObject([413, { error: { code } }]);
  expect(stored()).toEqual({ blobs: [], spooled: [] });
  sending.destroy();
});

describe("a blob is too large", () => {
  const environment = { LONGSHORE_BLOB_BYTES: String(MiB) };

  test("by what is announced", async () => {
    await using running = await api(environment);
    const { status, body } = await put(running, randomBytes(MiB + 1));
    expect([status, body.error?.code]).toEqual([413, "blob_too_large"]);
    expect(stored()).toEqual({ blobs: [], spooled: [] });
  });

  test("by what comes", async () => {
    await using running = await api(environment);
    const { status, body } = await put(running, streamOf(17, MiB / 16));
    expect([status, body.error?.code]).toEqual([413, "blob_too_large"]);
    expect(stored()).toEqual({ blobs: [], spooled: [] });
  });

  test("not at the limit itself", async () => {
    await using running = await api(environment);
    expect((await put(running, streamOf(16, MiB / 16))).status).toBe(201);
  });
});

describe("a key's quota", () => {
  const environment = { LONGSHORE_BLOB_QUOTA_BYTES: String(MiB) };

  test("is counted over all of its blobs, and not over another's", async () => {
    await using running = await withKeys(environment);
    const headers = as(keys.alice);
    expect((await put(running, randomBytes(0.75 * MiB), { headers })).status).toBe(201);
    const refused = await put(running, randomBytes(0.75 * MiB), { headers });
    expect([refused.status, refused.body.error?.code]).toEqual([413, "blob_quota_exceeded"]);
    expect((await put(running, randomBytes(0.75 * MiB), { headers: as(keys.bob) })).status).toBe(201);
    expect((await put(running, randomBytes(0.25 * MiB), { headers })).status).toBe(201);
    expect(stored()).toMatchObject({ blobs: { length: 3 }, spooled: [] });
  });

  test("ends an upload of unknown length where it is used up", async () => {
    await using running = await api(environment);
    const { status, body } = await put(running, streamOf(17, MiB / 16));
    expect([status, body.error?.code]).toEqual([413, "blob_quota_exceeded"]);
    expect(stored()).toEqual({ blobs: [], spooled: [] });
  });

  test("holds for uploads at the same time", async () => {
    await using running = await api(environment);
    const uploads = Array.from({ length: 4 }, () => put(running, randomBytes(0.6 * MiB)));
    const statuses = (await Promise.all(uploads)).map(({ status }) => status);
    expect(statuses.filter((status) => status === 201).length).toBeLessThanOrEqual(1);
    expect(stored().spooled).toEqual([]);
    // What was refused counts no more.
    const charged = statuses.filter((status) => status === 201).length;
    expect((await put(running, randomBytes(charged === 1 ? 0.3 * MiB : 0.9 * MiB))).status).toBe(201);
  });

  test("counts a block for the smallest blob", async () => {
    await using running = await api({ LONGSHORE_BLOB_QUOTA_BYTES: "8192" });
    for (const [content, status] of Object.entries({ a: 201, b: 201, c: 413 })) {
      expect((await put(running, Buffer.from(content))).status).toBe(status);
    }
  });

  test("is given back by what is deleted", async () => {
    await using running = await api(environment);
    const content = randomBytes(0.75 * MiB);
    await put(running, content);
    expect((await running.fetch(`/v1/blobs/${digestOf(content)}`, { method: "DELETE" })).status).toBe(204);
    expect((await put(running, randomBytes(0.75 * MiB))).status).toBe(201);
  });
});

describe("whose a blob is", () => {
  test("decides who can see it", async () => {
    await using running = await withKeys();
    const content = Buffer.from("secret of alice");
    await put(running, content, { headers: as(keys.alice) });
    for (const method of ["GET", "DELETE"]) {
      const response = await running.fetch(`/v1/blobs/${digestOf(content)}`, { method, headers: as(keys.bob) });
      expect([response.status, await response.json()]).toMatchObject([404, { error: { code: "blob_not_found" } }]);
    }
    expect((await running.fetch(`/v1/blobs/${digestOf(content)}`, { headers: as(keys.alice) })).status).toBe(200);
    expect((await running.fetch(`/v1/blobs/${digestOf(content)}`)).status).toBe(401);
  });

  test("two can hold the same one: stored once, and there as long as one of them does", async () => {
    await using running = await withKeys({ LONGSHORE_BLOB_TTL_SECONDS: "1000" });
    const content = Buffer.from("of both");
    for (const key of Object.values(keys)) {
      expect((await put(running, content, { headers: as(key) })).status).toBe(201);
    }
    expect(stored().blobs).toHaveLength(1);
    const path = `/v1/blobs/${digestOf(content)}`;
    await running.fetch(path, { method: "DELETE", headers: as(keys.alice) });
    await running.api.blobs.sweep();
    expect((await running.fetch(path, { headers: as(keys.bob) })).status).toBe(200);
    await running.fetch(path, { method: "DELETE", headers: as(keys.bob) });
    await running.api.blobs.sweep();
    expect(stored().blobs).toEqual([]);
  });

  test("decides who can use it in a job", async () => {
    await using running = await withKeys();
    const content = Buffer.from("a layer");
    await put(running, content, { headers: as(keys.alice) });
    const job = {
      image: "python",
      layers: [
        { blob: digestOf(content), at: "/a" },
        { blob: digestOf("none"), at: "/b" },
      ],
    };
    const message = "is no blob of yours, or has expired: put it again";
    const refused = await running.post(job, { headers: as(keys.alice) });
    expect([refused.status, await refused.json()]).toMatchObject([
      404,
      { error: { code: "blob_not_found", details: [{ path: "layers[1].blob", message }] } },
    ]);
    const of = (key: string) => running.post({ ...job, layers: job.layers.slice(0, 1) }, { headers: as(key) });
    expect((await of(keys.bob)).status).toBe(404);
    expect((await of(keys.alice)).status).toBe(202);
  });
});

describe("a job that was accepted with an Idempotency-Key", () => {
  const headers = { "idempotency-key": "once" };

  test("is answered with when it is posted again, also when its blob has gone", async () => {
    await using running = await api();
    const content = Buffer.from("a layer");
    await put(running, content);
    const body = { image: "python", layers: [{ blob: digestOf(content), at: "/a" }] };
    const first = await running.post(body, { headers });
    const { id } = (await first.json()) as { id: string };
    await running.fetch(`/v1/blobs/${digestOf(content)}`, { method: "DELETE" });
    const again = await running.post(body, { headers });
    expect([again.status, await again.json()]).toMatchObject([202, { id }]);
    expect(again.headers.get("idempotency-replayed")).toBe("true");
    // Another job under the same key is still another one, and a new job still needs the blob.
    const other = await running.post({ ...body, command: ["true"] }, { headers });
    expect([other.status, await other.json()]).toMatchObject([409, { error: { code: "idempotency_conflict" } }]);
    expect((await running.post(body, { headers: { "idempotency-key": "new" } })).status).toBe(404);
  });

  test("is answered with when the operator has taken its volume away", async () => {
    const body = { image: "python", volumes: [{ name: "data", at: "/data" }] };
    let id: string;
    {
      await using before = await api({ LONGSHORE_VOLUMES: "data=/srv/data:ro" });
      ({ id } = (await (await before.post(body, { headers })).json()) as { id: string });
    }
    await using after = await startApi(redis.url, { LONGSHORE_DATA: directory });
    const again = await after.post(body, { headers });
    expect([again.status, await again.json()]).toMatchObject([202, { id }]);
    expect((await after.post(body)).status).toBe(400);
  });
});

describe("a blob that was let go of", () => {
  test("and is put again before it is removed, stays", async () => {
    await using running = await api();
    const content = Buffer.from("content");
    await put(running, content);
    await running.fetch(`/v1/blobs/${digestOf(content)}`, { method: "DELETE" });
    expect((await put(running, content)).status).toBe(201);
    await running.api.blobs.sweep();
    expect(await (await running.fetch(`/v1/blobs/${digestOf(content)}`)).text()).toBe("content");
  });

  test("and is put again while it is being removed, is stored when that is over", async () => {
    await using running = await api();
    const content = Buffer.from("content");
    const removing = "{longshore}:blobs:removing";
    await running.api.redis.sadd(removing, sha256(content));
    const again = put(running, content);
    await expect.poll(() => stored().spooled).toHaveLength(1);
    expect(stored().blobs).toEqual([]);
    await running.api.redis.srem(removing, sha256(content));
    expect((await again).status).toBe(201);
    expect(stored()).toEqual({ blobs: [sha256(content)], spooled: [] });
  });

  test("is removed by the next sweep when the one before it died in the middle", async () => {
    await using running = await api();
    const content = Buffer.from("content");
    await put(running, content);
    await running.fetch(`/v1/blobs/${digestOf(content)}`, { method: "DELETE" });
    await running.api.redis.smove("{longshore}:blobs:doomed", "{longshore}:blobs:removing", sha256(content));
    await running.api.blobs.sweep();
    expect(stored().blobs).toEqual([]);
    expect(await running.api.redis.keys("*blobs*")).toEqual([]);
  });

  test("stays while many put it, use it and let go of it at once", async () => {
    await using running = await api();
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
    await using running = await api(environment);
    const content = randomBytes(MiB);
    await put(running, content);
    // HEAD would be a use. The ledger is asked, which is not.
    await expect.poll(() => stored().blobs, { timeout: 10_000 }).toEqual([]);
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
    await using running = await api({ LONGSHORE_BLOB_TTL_SECONDS: "1000" });
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
  await using running = await api();
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const slow = ReadableStream.from(
    (async function* () {
      yield Buffer.from("slow");
      await promise;
    })(),
  );
  const arriving = put(running, slow);
  await expect.poll(() => stored().spooled).toHaveLength(1);
  const left = join(directory, "blobs/spool/left");
  await writeFile(left, "");
  await utimes(left, new Date(0), new Date(0));
  await running.api.blobs.sweep();
  expect(stored().spooled).toHaveLength(1);
  resolve(undefined);
  expect((await arriving).status).toBe(201);
});
