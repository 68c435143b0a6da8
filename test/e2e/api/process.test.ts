import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { freePort, startRedis, type RedisServer } from "../../support/redis.ts";
import { program } from "../../support/api.ts";
import { startApiProcess, type ApiProcess } from "../../support/api-process.ts";

let redis: RedisServer;
beforeAll(async () => void (redis = await startRedis()));
afterAll(async () => await redis.stop());

const start = (environment: Readonly<Record<string, string>>): ApiProcess =>
  startApiProcess({ REDIS_URL: redis.url, ...environment });

describe("a start is refused, with a line that says why,", () => {
  test("for variables that are unknown or malformed: all of them", async () => {
    await using api = start({ LONGSHORE_PROT: "1", LONGSHORE_SLOTS: "many" });
    expect(await api.exited).toBe(1);
    expect(api.complaints).toEqual([
      "longshore api: LONGSHORE_PROT is unknown: see the table of variables in README.md",
      "longshore api: LONGSHORE_SLOTS is not a whole number",
    ]);
  });

  test("for an address that others reach when there are no keys", async () => {
    await using api = start({ LONGSHORE_HOST: "0.0.0.0" });
    expect(await api.exited).toBe(1);
    expect(api.complaints).toEqual([expect.stringContaining("set LONGSHORE_API_KEYS, or use 127.0.0.1")]);
  });

  test("for a Redis that may throw jobs away", async () => {
    await using evicting = await startRedis({ "maxmemory-policy": "allkeys-lru" });
    await using api = start({ REDIS_URL: evicting.url });
    expect(await api.exited).toBe(1);
    expect(api.complaints).toEqual(["longshore api: redis maxmemory-policy is allkeys-lru: set it to noeviction"]);
  });

  test("for a port that is taken", async () => {
    await using api = start({ LONGSHORE_PORT: String(redis.port) });
    expect(await api.exited).toBe(1);
    expect(api.complaints).toEqual([expect.stringContaining("EADDRINUSE")]);
  });
});

test("without keys it says that it serves this machine only", async () => {
  await using api = start({});
  await api.listening();
  expect(api.lines.join("\n")).toContain("for this machine only: set LONGSHORE_API_KEYS to serve others");
});

test("it starts without Redis and serves when Redis comes", async () => {
  const port = await freePort();
  await using api = start({ REDIS_URL: `redis://127.0.0.1:${port}` });
  const url = await api.listening();
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
  expect((await fetch(`${url}/v1/workers`)).status).toBe(503);
  await using _late = await startRedis({ port: String(port) });
  await vi.waitFor(async () => expect((await fetch(`${url}/v1/workers`)).status).toBe(200), 10_000);
});

test("SIGTERM answers those who wait with 202 and ends the process with 0", async () => {
  await using api = start({});
  const url = await api.listening();
  const waiting = fetch(`${url}/v1/jobs?wait=60`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(program),
  });
  await vi.waitFor(async () =>
    expect(await (await fetch(`${url}/metrics`)).text()).toContain('longshore_waiting_jobs{service="api"} 1'),
  );
  api.kill("SIGTERM");
  const response = await waiting;
  expect(response.status).toBe(202);
  expect(await response.json()).toMatchObject({ state: "queued" });
  expect(await api.exited).toBe(0);
  // Lines leave in batches, and the last one with the process.
  expect(api.lines.join("\n")).toContain('"msg":"stopping"');
});

test("no line of the log holds a key", async () => {
  await using api = start({ LONGSHORE_API_KEYS: "0".repeat(64), LONGSHORE_LOG_LEVEL: "trace" });
  const url = await api.listening();
  await fetch(`${url}/v1/workers`, { headers: { authorization: "Bearer very-secret" } });
  api.kill("SIGTERM");
  await api.exited;
  expect(api.lines.some((line) => line.includes("/v1/workers"))).toBe(true);
  expect([...api.lines, ...api.complaints].join("\n")).not.toContain("very-secret");
});
