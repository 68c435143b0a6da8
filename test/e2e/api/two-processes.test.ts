import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { Job } from "../../../shared/job.ts";
import { program, startApi, type RunningApi } from "../../support/api.ts";
import { done, runByHand } from "../../support/jobs.ts";
import { startRedis, type RedisServer } from "../../support/redis.ts";

let redis: RedisServer;
let one: RunningApi;
let other: RunningApi;
beforeAll(async () => {
  redis = await startRedis();
  [one, other] = await Promise.all([
    startApi(redis.url, { LONGSHORE_QUEUE_LIMIT: "30" }),
    startApi(redis.url, { LONGSHORE_QUEUE_LIMIT: "30" }),
  ]);
});
afterAll(async () => {
  await Promise.all([one[Symbol.asyncDispose](), other[Symbol.asyncDispose]()]);
  await redis.stop();
});

test("a job that one accepted can be waited for and canceled at the other", async () => {
  const { id } = await one.accept();
  const waiting = other.fetch(`/v1/jobs/${id}?wait=60`);
  await vi.waitFor(async () =>
    expect(await (await other.fetch("/metrics")).text()).toContain('longshore_waiting_jobs{service="api"} 1'),
  );
  await runByHand(one.store, id, done("42\n"));
  expect((await waiting).status).toBe(200);
  const second = await one.accept();
  expect(await (await other.fetch(`/v1/jobs/${second.id}`, { method: "DELETE" })).json()).toMatchObject({
    state: "canceled",
  });
});

test("a key used at both at once is one job", async () => {
  const headers = { "idempotency-key": "both" };
  const jobs = await Promise.all(
    Array.from({ length: 40 }, async (_, index) => {
      const response = await (index % 2 === 0 ? one : other).post(program, { headers });
      return (await response.json()) as Job;
    }),
  );
  expect(new Set(jobs.map(({ id }) => id)).size).toBe(1);
});

test("the limit of the queue holds for both together", async () => {
  await one.api.redis.flushall();
  const responses = await Promise.all(
    Array.from({ length: 50 }, async (_, index) => await (index % 2 === 0 ? one : other).post(program)),
  );
  expect(responses.filter(({ status }) => status === 202)).toHaveLength(30);
});

test("one may stop in the middle of a wait while the other goes on", async () => {
  await one.api.redis.flushall();
  await using third = await startApi(redis.url);
  const { id } = await third.accept();
  const waiting = third.fetch(`/v1/jobs/${id}?wait=60`);
  await vi.waitFor(async () =>
    expect(await (await third.fetch("/metrics")).text()).toContain('longshore_waiting_jobs{service="api"} 1'),
  );
  third.api.stopWaiting();
  const response = await waiting;
  expect(response.status).toBe(202);
  expect(response.headers.get("connection")).toBe("close");
  await runByHand(other.store, id, done("x"));
  expect((await one.fetch(`/v1/jobs/${id}`)).status).toBe(200);
});
