import { createHash } from "node:crypto";
import { request, type IncomingMessage } from "node:http";
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Route } from "../../../services/api/route.ts";
import { program, startApi, type RunningApi } from "../../support/api.ts";
import { startRedis, type RedisServer } from "../../support/redis.ts";

let redis: RedisServer;
beforeAll(async () => void (redis = await startRedis()));
afterAll(async () => await redis.stop());

const sha256 = (key: string): string => createHash("sha256").update(key).digest("hex");
const bearer = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` });
const pathOf = ({ path }: Route): string => path.replaceAll(/\{\w+\*?\}/g, "x");

describe("with keys", () => {
  let api: RunningApi;
  beforeAll(async () => {
    api = await startApi(redis.url, {
      LONGSHORE_API_KEYS: `${sha256("first")},${sha256("second")}`,
      LONGSHORE_QUEUE: "keys",
    });
  });
  afterAll(async () => await api[Symbol.asyncDispose]());

  const status = async (route: Route, headers: Record<string, string>): Promise<number> =>
    (await api.fetch(pathOf(route), { method: route.method.toUpperCase(), headers })).status;

  test.each([
    {},
    bearer(""),
    bearer("wrong"),
    bearer(sha256("first")),
    bearer("first second"),
    { authorization: "first" },
    { authorization: `Basic ${btoa("first:")}` },
  ])("every route below /v1 refuses %j, and no other one does", async (headers) => {
    for (const route of api.api.routes) {
      const isRefused = (await status(route, headers)) === 401;
      expect([route.path, isRefused]).toEqual([route.path, route.path.startsWith("/v1/")]);
    }
  });

  test.each(["/v1", "/v1/", "/v1/nothing", "/v1/jobs/", "/v1//jobs"])("%s tells strangers nothing", async (path) => {
    const response = await api.fetch(path);
    expect(response.status).toBe(401);
    expect(response.headers.get("www-authenticate")).toContain("Bearer");
    expect(await response.json()).toMatchObject({ error: { code: "unauthorized" } });
  });

  test.each(["first", "second"])("the key %s opens every route", async (key) => {
    for (const route of api.api.routes) expect([route.path, await status(route, bearer(key))]).not.toContain(401);
    expect((await api.post(program, { headers: bearer(key) })).status).toBe(202);
  });

  test("a stranger's body is not even read", async () => {
    const response = await api.post("x".repeat(100_000));
    expect(response.status).toBe(401);
  });

  test("clients do not get each other's jobs by guessing an Idempotency-Key", async () => {
    const headers = { "idempotency-key": "same" };
    const [first, second] = await Promise.all(
      ["first", "second"].map(async (key) => {
        const response = await api.post(program, { headers: { ...headers, ...bearer(key) } });
        return (await response.json()) as { id: string };
      }),
    );
    expect(first?.id).not.toBe(second?.id);
  });

  test("a request may name any host", async () => {
    const response = await requestWithHost(`${api.url}/v1/workers`, "longshore.example", bearer("first"));
    expect(response.statusCode).toBe(200);
  });
});

describe("without keys", () => {
  let api: RunningApi;
  beforeAll(async () => void (api = await startApi(redis.url, { LONGSHORE_QUEUE: "open" })));
  afterAll(async () => await api[Symbol.asyncDispose]());

  test.each(["attacker.example", "127.0.0.1.attacker.example", "localhost.", "192.0.2.1", "[::2]"])(
    "a request that names the host %j is refused: a page in a browser may have sent it",
    async (host) => {
      const statuses: (number | undefined)[] = [];
      // Who is let in lets nobody else in.
      for (const named of [host, "localhost", host])
        statuses.push((await requestWithHost(`${api.url}/v1/workers`, named)).statusCode);
      expect(statuses).toEqual([403, 200, 403]);
    },
  );

  test.each(["localhost", "localhost:1234", "127.0.0.1", "[::1]:80"])(
    "a request that names the host %j is served",
    async (host) => {
      expect((await requestWithHost(`${api.url}/v1/workers`, host)).statusCode).toBe(200);
    },
  );
});

describe("the rate limit", () => {
  test("counts each key by itself, over all API processes together", async () => {
    const environment = {
      LONGSHORE_API_KEYS: `${sha256("first")},${sha256("second")}`,
      LONGSHORE_QUEUE: "rate",
      LONGSHORE_RATE_LIMIT: "5",
    };
    await using one = await startApi(redis.url, environment);
    await using other = await startApi(redis.url, environment);
    const ask = async (api: RunningApi, key: string): Promise<Response> =>
      await api.fetch("/v1/languages", { headers: bearer(key) });
    const responses = await Promise.all(
      Array.from({ length: 40 }, (_, index) => ask(index % 2 === 0 ? one : other, "first")),
    );
    const refused = responses.filter(({ status }) => status === 429);
    // 40 requests at once take less than three seconds, of which each has five
    expect(refused.length).toBeGreaterThanOrEqual(20);
    expect(refused[0]?.headers.get("retry-after")).toBe("1");
    expect(await refused[0]?.json()).toMatchObject({ error: { code: "rate_limited" } });
    expect((await ask(one, "second")).status).toBe(200);
    expect((await one.fetch("/healthz")).status).toBe(200);
  });
});

/** fetch() does not let its caller choose the host. */
async function requestWithHost(
  url: string,
  host: string,
  headers: Record<string, string> = {},
): Promise<IncomingMessage> {
  const client = request(url, { headers: { ...headers, host } });
  client.end();
  const [response] = (await once(client, "response")) as [IncomingMessage];
  response.resume();
  return response;
}
