/** What blobs are, and whose they are. */
import { randomBytes } from "node:crypto";
import { request } from "node:http";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { startApi } from "../../support/api.ts";
import { startRedis, type RedisServer } from "../../support/redis.ts";
import { as, BlobBench, digestOf, keys, MiB, put, sha256 } from "./blob-bench.ts";

let redis: RedisServer;
beforeAll(async () => void (redis = await startRedis()));
afterAll(async () => await redis.stop());

let bench: BlobBench;
beforeEach(async () => void (bench = await BlobBench.open(redis.url)));
afterEach(() => bench[Symbol.asyncDispose]());

describe("a blob", () => {
  test("comes back byte for byte under the digest of its bytes", async () => {
    await using running = await bench.api();
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
    expect(bench.stored()).toEqual({ blobs: [sha256(content)], spooled: [] });
  });

  test("that is empty is one, too", async () => {
    await using running = await bench.api();
    expect((await put(running, new Uint8Array())).body).toMatchObject({ digest: digestOf(""), bytes: 0 });
    expect((await running.fetch(`/v1/blobs/${digestOf("")}`)).status).toBe(200);
  });

  test("is told by HEAD to be there or not", async () => {
    await using running = await bench.api();
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
    await using running = await bench.api();
    const content = Buffer.from("content");
    expect((await put(running, content)).status).toBe(201);
    expect((await put(running, content)).status).toBe(200);
    expect(bench.stored().blobs).toHaveLength(1);
  });

  test("that is there and announced by its digest is not read", async () => {
    await using running = await bench.api();
    const content = Buffer.from("content");
    await put(running, content);
    const again = await put(running, Buffer.from("something else"), { query: `?digest=${digestOf(content)}` });
    expect([again.status, again.body["digest"]]).toEqual([200, digestOf(content)]);
  });

  test("that is not what was announced is refused, and nothing of it stays", async () => {
    await using running = await bench.api();
    const { status, body } = await put(running, Buffer.from("other"), { query: `?digest=${digestOf("content")}` });
    expect([status, body.error]).toEqual([
      400,
      {
        code: "invalid_request",
        message: expect.any(String),
        details: [{ path: "digest", message: `is not the body's, which is ${digestOf("other")}` }],
      },
    ]);
    expect(bench.stored()).toEqual({ blobs: [], spooled: [] });
    expect((await running.fetch(`/v1/blobs/${digestOf("other")}`)).status).toBe(404);
  });

  test("whose sender goes away is not kept", async () => {
    await using running = await bench.api();
    const sending = request(`${running.url}/v1/blobs`, { method: "PUT", headers: { "content-length": 10 * MiB } });
    const closed = new Promise<void>((resolve) => sending.on("error", () => undefined).once("close", () => resolve()));
    sending.write(randomBytes(MiB));
    await expect.poll(() => bench.stored().spooled).toHaveLength(1);
    sending.destroy();
    await closed;
    await expect.poll(() => bench.stored()).toEqual({ blobs: [], spooled: [] });
  });

  test("with a content-encoding is refused, since its bytes would be others", async () => {
    await using running = await bench.api();
    const refused = await put(running, Buffer.from("content"), { headers: { "content-encoding": "gzip" } });
    expect([refused.status, refused.body.error?.code]).toEqual([415, "unsupported_media_type"]);
  });

  test.each(["?digest=md5:1", "?digest=sha256:ABC", "?other=1"])("is not put with %s", async (query) => {
    await using running = await bench.api();
    expect(await put(running, Buffer.from("content"), { query })).toMatchObject({
      status: 400,
      body: { error: { code: "invalid_request" } },
    });
  });

  test.each(["sha256:", "sha256:../../../etc/passwd", digestOf("").toUpperCase(), "x"])(
    "is not found under %s",
    async (digest) => {
      await using running = await bench.api();
      await put(running, new Uint8Array());
      const response = await running.fetch(`/v1/blobs/${encodeURIComponent(digest)}`);
      expect([response.status, await response.json()]).toMatchObject([404, { error: { code: "blob_not_found" } }]);
    },
  );
});

describe("whose a blob is", () => {
  test("decides who can see it", async () => {
    await using running = await bench.withKeys();
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
    await using running = await bench.withKeys({ LONGSHORE_BLOB_TTL_SECONDS: "1000" });
    const content = Buffer.from("of both");
    for (const key of Object.values(keys)) {
      expect((await put(running, content, { headers: as(key) })).status).toBe(201);
    }
    expect(bench.stored().blobs).toHaveLength(1);
    const path = `/v1/blobs/${digestOf(content)}`;
    await running.fetch(path, { method: "DELETE", headers: as(keys.alice) });
    await running.api.blobs.sweep();
    expect((await running.fetch(path, { headers: as(keys.bob) })).status).toBe(200);
    await running.fetch(path, { method: "DELETE", headers: as(keys.bob) });
    await running.api.blobs.sweep();
    expect(bench.stored().blobs).toEqual([]);
  });

  test("decides who can use it in a job", async () => {
    await using running = await bench.withKeys();
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
    await using running = await bench.api();
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
      await using before = await bench.api({ LONGSHORE_VOLUMES: "data=/srv/data:ro" });
      ({ id } = (await (await before.post(body, { headers })).json()) as { id: string });
    }
    await using after = await startApi(redis.url, { LONGSHORE_DATA: bench.directory });
    const again = await after.post(body, { headers });
    expect([again.status, await again.json()]).toMatchObject([202, { id }]);
    expect((await after.post(body)).status).toBe(400);
  });
});
