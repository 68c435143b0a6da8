import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { RunJob } from "../../../shared/job.ts";
import { program, startApi, type RunningApi } from "../../support/api.ts";
import { connected, done, runByHand } from "../../support/jobs.ts";
import { startRedis, type RedisServer } from "../../support/redis.ts";
import { TcpProxy } from "../../support/tcp-proxy.ts";
import { JobStore } from "../../../shared/job-store.ts";

let redis: RedisServer;
let api: RunningApi;
beforeAll(async () => {
  redis = await startRedis();
  api = await startApi(redis.url);
});
afterAll(async () => {
  await api[Symbol.asyncDispose]();
  await redis.stop();
});

/** Back on its own, without anyone telling the API. */
const untilBack = async (): Promise<void> =>
  await vi.waitFor(async () => expect((await api.fetch("/v1/workers")).status).toBe(200), 10_000);

describe("while Redis is away", () => {
  test("every route that needs it answers 503 with a time to wait, and the process lives", async () => {
    const { id } = await api.accept();
    await redis.kill();
    const requests: [string, RequestInit][] = [
      ["/v1/jobs", { method: "POST", body: JSON.stringify(program), headers: { "content-type": "application/json" } }],
      [`/v1/jobs/${id}`, {}],
      [`/v1/jobs/${id}?wait=60`, {}],
      [`/v1/jobs/${id}/events`, {}],
      [`/v1/jobs/${id}`, { method: "DELETE" }],
      [`/v1/jobs/${id}/outputs/a`, {}],
      ["/v1/languages", {}],
      ["/v1/images", {}],
      ["/v1/images/python", {}],
      ["/v1/images/python", { method: "DELETE" }],
      ["/v1/images", { method: "POST", body: '{"reference":"a"}', headers: { "content-type": "application/json" } }],
      ["/v1/workers", {}],
      ["/readyz", {}],
    ];
    for (const [path, init] of requests) {
      const response = await api.fetch(path, init);
      expect([path, response.status]).toEqual([path, 503]);
      expect(response.headers.get("retry-after")).toBe("1");
      expect(await response.json()).toMatchObject({ error: { code: "redis_unavailable" } });
    }
    expect((await api.fetch("/healthz")).status).toBe(200);
    const metrics = await (await api.fetch("/metrics")).text();
    expect(metrics).toContain('longshore_redis_up{service="api"} 0');
    expect(metrics).not.toContain("longshore_queue_jobs{");
    await redis.restart();
    await untilBack();
    expect((await api.fetch(`/v1/jobs/${id}`)).status).toBe(200);
    expect((await api.post(program)).status).toBe(202);
  });

  test("a malformed request is still told what is wrong with it", async () => {
    await redis.kill();
    expect((await api.post({})).status).toBe(400);
    await redis.restart();
    await untilBack();
  });

  test("who waits goes on waiting, and gets the result when it is there", async () => {
    const { id } = await api.accept();
    const waiting = api.fetch(`/v1/jobs/${id}?wait=60`);
    await vi.waitFor(async () =>
      expect(await (await api.fetch("/metrics")).text()).toContain('longshore_waiting_jobs{service="api"} 1'),
    );
    await redis.kill();
    await redis.restart();
    const connection = await connected(redis.url, "consumer");
    await runByHand(new JobStore({ redis: connection, queue: "longshore", resultTtlSeconds: 60 }), id, done("42\n"));
    connection.disconnect();
    const response = await waiting;
    expect(response.status).toBe(200);
    expect(((await response.json()) as RunJob).result?.stdout.content).toBe("42\n");
  });

  test("a job that was accepted is answered with 202 when the wait is over", async () => {
    const waiting = api.post(program, { wait: 1 });
    await vi.waitFor(async () =>
      expect(await (await api.fetch("/metrics")).text()).toContain('longshore_waiting_jobs{service="api"} 1'),
    );
    await redis.kill();
    const response = await waiting;
    expect(response.status).toBe(202);
    await redis.restart();
    await untilBack();
    expect((await api.fetch(response.headers.get("location") ?? "")).status).toBe(200);
  });
});

test("a Redis that accepts connections and is silent is away", async () => {
  redis.pause();
  const first = await api.fetch("/v1/workers");
  expect(first.status).toBe(503);
  // from here on nobody waits for it any more
  expect((await api.post(program)).status).toBe(503);
  redis.resume();
  await untilBack();
});

// A wait looks at the record once more when it is over: the limit is what tells this from news.
test("who waits is told although the connection for news has fallen silent", { timeout: 30_000 }, async () => {
  await using proxy = await TcpProxy.open(redis.port);
  await using silent = await startApi(`redis://127.0.0.1:${proxy.port}`);
  const { id } = await silent.accept();
  const waiting = silent.fetch(`/v1/jobs/${id}?wait=60`);
  await vi.waitFor(async () =>
    expect(await (await silent.fetch("/metrics")).text()).toContain('longshore_waiting_jobs{service="api"} 1'),
  );
  proxy.freeze();
  const connection = await connected(redis.url, "consumer");
  await runByHand(new JobStore({ redis: connection, queue: "longshore", resultTtlSeconds: 60 }), id, done("42\n"));
  connection.disconnect();
  expect(((await (await waiting).json()) as RunJob).state).toBe("done");
});

test("every job that was accepted while Redis came and went is there", async () => {
  await api.api.redis.flushall();
  const answers: { status: number; id: string | undefined }[] = [];
  const isAccepted = ({ status }: { status: number }): boolean => status === 202;
  const postUntil = async (isEnough: () => boolean): Promise<void> => {
    while (!isEnough()) {
      const response = await api.post(program);
      const { id } = (await response.json()) as { id?: string };
      answers.push({ status: response.status, id });
    }
  };
  await postUntil(() => answers.filter(isAccepted).length >= 20);
  const killed = redis.kill();
  await postUntil(() => answers.some(({ status }) => status === 503));
  await killed;
  const restarted = redis.restart();
  await postUntil(() => answers.filter(isAccepted).length >= 40);
  await restarted;
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202, 503]));
  for (const { id } of answers.filter(isAccepted)) {
    expect((await api.fetch(`/v1/jobs/${id}`)).status).toBe(200);
  }
});

test("an API that starts before Redis serves as soon as it is there", async () => {
  await using late = await startRedis();
  await late.kill();
  const starting = startApi(late.url);
  await late.restart();
  await using early = await starting;
  expect((await early.post(program)).status).toBe(202);
});
