import { once } from "node:events";
import { request } from "node:http";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { program, startApi, type RunningApi } from "../../support/api.ts";
import { startRedis, type RedisServer } from "../../support/redis.ts";

let redis: RedisServer;
let api: RunningApi;
beforeAll(async () => {
  redis = await startRedis();
  api = await startApi(redis.url, { LONGSHORE_BODY_BYTES: "10000" });
});
afterAll(async () => {
  await api[Symbol.asyncDispose]();
  await redis.stop();
});

interface Answer {
  readonly status: number;
  readonly error: { readonly code: string; readonly message: string; readonly details?: readonly unknown[] };
}

async function send(body: NonNullable<RequestInit["body"]>, headers: Record<string, string> = {}): Promise<Answer> {
  const response = await api.fetch("/v1/jobs", { method: "POST", body, headers });
  const { error } = (await response.json()) as Omit<Answer, "status">;
  return { status: response.status, error };
}

const json = { "content-type": "application/json" };

describe("a body that is refused", () => {
  test("names every fault with its path", async () => {
    const body = { ...program, files: [{ path: "/etc/passwd", content: "" }], limits: { cpus: 0 }, colour: "red" };
    expect(await send(JSON.stringify(body), json)).toEqual({
      status: 400,
      error: {
        code: "invalid_request",
        message: expect.any(String),
        details: expect.arrayContaining([
          { path: "files[0].path", message: "is absolute: name it relative to the working directory" },
          { path: "limits.cpus", message: expect.stringContaining("0.01") },
          { path: "colour", message: "unknown field" },
        ]),
      },
    });
  });

  test("because its language is not known says which are", async () => {
    const { status, error } = await send(JSON.stringify({ language: "cobol", source: "" }), json);
    expect(status).toBe(400);
    expect(error.details).toEqual([{ path: "language", message: expect.stringContaining("python") }]);
  });

  test.each([
    ["not JSON", "{", "invalid_json", 400],
    ["empty", "", "invalid_json", 400],
    ["no object", "1", "invalid_request", 400],
    ["null", "null", "invalid_request", 400],
    ["deeply nested", "[".repeat(5000) + "]".repeat(5000), "invalid_request", 400],
    ["too large", JSON.stringify({ ...program, stdin: "x".repeat(10_000) }), "body_too_large", 413],
  ])("because it is %s", async (_what, body, code, status) => {
    expect(await send(body, json)).toMatchObject({ status, error: { code } });
  });

  test("because it is not UTF-8", async () => {
    const body = Buffer.concat([Buffer.from('{"image":"a","command":["'), Buffer.from([0xff]), Buffer.from('"]}')]);
    expect(await send(body, json)).toMatchObject({ status: 400, error: { code: "invalid_json" } });
  });

  test("because it is too large once it is decompressed", async () => {
    const body = gzipSync(JSON.stringify({ ...program, stdin: "x".repeat(1_000_000) }));
    expect(body.length).toBeLessThan(10_000);
    const answer = await send(body, { ...json, "content-encoding": "gzip" });
    expect(answer).toMatchObject({ status: 413, error: { code: "body_too_large" } });
  });

  test("because it is not in its content-encoding", async () => {
    const answer = await send("{}", { ...json, "content-encoding": "gzip" });
    expect(answer).toMatchObject({ status: 400, error: { code: "invalid_request" } });
  });

  test.each([
    ["text/plain", {}],
    ["application/x-www-form-urlencoded", {}],
    ["multipart/form-data; boundary=x", {}],
    ["application/json; charset=utf-16", {}],
    ["application/jsonp", {}],
    ["", {}],
    ["application/json", { "content-encoding": "zstandard" }],
  ])("because it comes as %j %j", async (type, headers) => {
    const answer = await send(Buffer.from("{}"), { "content-type": type, ...headers });
    expect(answer).toMatchObject({ status: 415, error: { code: "unsupported_media_type" } });
  });
});

test.each(["application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"'])("%s is JSON", async (type) => {
  const response = await api.fetch("/v1/jobs", {
    method: "POST",
    body: JSON.stringify(program),
    headers: { "content-type": type },
  });
  expect(response.status).toBe(202);
});

test("a compressed body is read", async () => {
  const response = await api.fetch("/v1/jobs", {
    method: "POST",
    body: gzipSync(JSON.stringify(program)),
    headers: { ...json, "content-encoding": "gzip" },
  });
  expect(response.status).toBe(202);
});

test("every declared path answers 405 to methods that it does not have, and says which it has", async () => {
  const byPath = Map.groupBy(api.api.routes, ({ path }) => path);
  expect(byPath.size).toBeGreaterThan(10);
  for (const [path, routes] of byPath) {
    const response = await api.fetch(path.replaceAll(/\{\w+\*?\}/g, "x"), { method: "PATCH" });
    expect([path, response.status]).toEqual([path, 405]);
    const allowed = response.headers.get("allow")?.split(", ");
    expect(allowed).toEqual(expect.arrayContaining(routes.map(({ method }) => method.toUpperCase())));
  }
});

test.each([
  "/",
  "/v1",
  "/v1/",
  "/v1/jobs/",
  "/V1/jobs",
  "/v2/jobs",
  "/docs/",
  "/docs/../package.json",
  "/docs/index.html",
])("%s is not found", async (path) => {
  const response = await api.fetch(path);
  expect(response.status).toBe(404);
  expect(await response.json()).toMatchObject({ error: { code: "not_found" } });
});

test("a path with a malformed encoding is a fault of the client", async () => {
  const response = await api.fetch("/v1/jobs/%ff");
  expect(response.status).toBe(400);
});

test("a request keeps the id that it came with, unless that is no id", async () => {
  const idOf = async (id: string): Promise<string | null> =>
    (await api.fetch("/healthz", { headers: { "x-request-id": id } })).headers.get("x-request-id");
  expect(await idOf("abc-123")).toBe("abc-123");
  expect(await idOf("a b<script>")).toMatch(/^[0-9a-f-]{36}$/);
});

test("a client that hangs up in the middle of its body leaves the API as it was", async () => {
  const client = request(`${api.url}/v1/jobs`, { method: "POST", headers: { ...json, "content-length": "5000" } });
  client.on("error", () => undefined);
  client.write('{"image":');
  client.flushHeaders();
  await once(client, "socket");
  client.destroy();
  expect((await api.post(program)).status).toBe(202);
});

test("answers carry headers that keep a browser from misusing them", async () => {
  const { headers } = await api.fetch("/v1/workers");
  expect(headers.get("content-security-policy")).toContain("default-src 'none'");
  expect(headers.get("x-content-type-options")).toBe("nosniff");
  expect(headers.get("cache-control")).toBe("no-store");
  expect(headers.get("x-powered-by")).toBeNull();
  expect(headers.get("access-control-allow-origin")).toBeNull();
});
