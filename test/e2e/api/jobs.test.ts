import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { jobSchema, type Job } from "../../../shared/job.ts";
import { program, startApi, type RunningApi } from "../../support/api.ts";
import { done, runByHand } from "../../support/jobs.ts";
import { startRedis, type RedisServer } from "../../support/redis.ts";

let redis: RedisServer;
let api: RunningApi;
beforeAll(async () => {
  redis = await startRedis();
  api = await startApi(redis.url, { LONGSHORE_QUEUE_LIMIT: "60" });
});
afterAll(async () => {
  await api[Symbol.asyncDispose]();
  await redis.stop();
});
beforeEach(async () => void (await api.api.redis.flushall()));

const jobOf = async (response: Response): Promise<Job> => jobSchema.parse(await response.json());
const UNKNOWN = "/v1/jobs/00000000-0000-4000-8000-000000000000";

/** Until so many jobs are waited for by requests of the API: what a test does next, they are there to see. */
const untilWaiting = async (count: number): Promise<void> =>
  await vi.waitFor(async () => {
    const metrics = await (await api.fetch("/metrics")).text();
    expect(metrics).toContain(`longshore_waiting_jobs{service="api"} ${count}`);
  });

describe("POST /v1/jobs", () => {
  test("answers 202 with the job and where it is", async () => {
    const response = await api.post(program);
    const job = await jobOf(response);
    expect(response.status).toBe(202);
    expect(response.headers.get("location")).toBe(`/v1/jobs/${job.id}`);
    expect(job).toMatchObject({ kind: "run", state: "queued", attempt: 0, result: null, error: null, startedAt: null });
  });

  test("gives a worker the request with its limits filled up", async () => {
    const job = await api.accept({ ...program, limits: { cpus: 0.5, diskBytes: 1_000_000 }, stdin: "1 2" });
    expect(await api.store.claim(job.id, { worker: "w", token: "t" })).toMatchObject({
      status: "claimed",
      request: {
        ...program,
        stdin: "1 2",
        limits: { cpus: 0.5, diskBytes: 1_000_000, fileBytes: 1_000_000, processes: 64 },
      },
    });
  });

  test("with wait answers 200 as soon as the job is done", async () => {
    const waiting = api.post(program, { wait: 60 });
    await untilWaiting(1);
    const [id = ""] = await api.api.redis.zrange(api.store.keys.queued, "0", "0");
    await runByHand(api.store, id, done("42\n"));
    const response = await waiting;
    expect(response.status).toBe(200);
    expect(response.headers.get("location")).toBe(`/v1/jobs/${id}`);
    expect(await jobOf(response)).toMatchObject({
      id,
      state: "done",
      attempt: 1,
      result: { stdout: { content: "42\n" } },
    });
  });

  test.each(["0", "0.05"])("with wait=%s answers 202 with the state when the time is up", async (wait) => {
    const response = await api.post(program, { wait });
    expect(response.status).toBe(202);
    expect(await jobOf(response)).toMatchObject({ state: "queued" });
  });

  test.each(["-1", "61", "60.1", "x", "", "1e1", "1,5", "1&wait=2", "Infinity", "0x1"])(
    "refuses wait=%s",
    async (wait) => {
      const response = await api.post(program, { wait });
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ error: { code: "invalid_request", details: [{ path: "wait" }] } });
    },
  );

  test("a client that goes away is not waited for any longer", async () => {
    const controller = new AbortController();
    const waiting = api.post(program, { wait: 60, signal: controller.signal });
    await untilWaiting(1);
    controller.abort();
    await expect(waiting).rejects.toMatchObject({ name: "AbortError" });
    await untilWaiting(0);
  });

  test("many may wait for the same job", async () => {
    const { id } = await api.accept();
    const waiting = Array.from({ length: 20 }, () => api.fetch(`/v1/jobs/${id}?wait=60`));
    await untilWaiting(1);
    await runByHand(api.store, id, done("x"));
    const states = await Promise.all(waiting.map(async (response) => (await jobOf(await response)).state));
    expect(states).toEqual(Array.from({ length: 20 }, () => "done"));
  });
});

describe("GET /v1/jobs/{id}", () => {
  test("shows a job that is not finished with 200, and with 202 when it was waited for", async () => {
    const { id } = await api.accept();
    expect((await api.fetch(`/v1/jobs/${id}`)).status).toBe(200);
    expect((await api.fetch(`/v1/jobs/${id}?wait=0.05`)).status).toBe(202);
  });

  test("is JSON in UTF-8 of a stated length, which HEAD tells without it", async () => {
    const { id } = await api.accept(program);
    const shown = await api.fetch(`/v1/jobs/${id}`);
    const headers = ["content-type", "content-length"];
    const told = headers.map((name) => shown.headers.get(name));
    expect(told).toEqual(["application/json; charset=utf-8", String((await shown.arrayBuffer()).byteLength)]);
    const asked = await api.fetch(`/v1/jobs/${id}`, { method: "HEAD" });
    expect(headers.map((name) => asked.headers.get(name))).toEqual(told);
    expect(await asked.text()).toBe("");
  });

  test("shows why a job failed", async () => {
    const { id } = await api.accept();
    const error = { code: "setup_failed", message: "union mount: fsmount: ENOSPC" } as const;
    await runByHand(api.store, id, { state: "failed", error });
    expect(await jobOf(await api.fetch(`/v1/jobs/${id}`))).toMatchObject({ state: "failed", error, result: null });
  });

  test.each([UNKNOWN, "/v1/jobs/1", "/v1/jobs/..%2f", "/v1/jobs/%00"])("%s is not found", async (path) => {
    const response = await api.fetch(path);
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ error: { code: "job_not_found" } });
  });
});

describe("DELETE /v1/jobs/{id}", () => {
  test("cancels a queued job at once", async () => {
    const { id } = await api.accept();
    const response = await api.fetch(`/v1/jobs/${id}`, { method: "DELETE" });
    expect(response.status).toBe(200);
    expect(await jobOf(response)).toMatchObject({ state: "canceled", result: null });
    expect(await api.store.claim(id, { worker: "w", token: "t" })).toEqual({ status: "finished" });
  });

  test("answers those who wait for the job", async () => {
    const { id } = await api.accept();
    const waiting = api.fetch(`/v1/jobs/${id}?wait=60`);
    await untilWaiting(1);
    await api.fetch(`/v1/jobs/${id}`, { method: "DELETE" });
    expect(await jobOf(await waiting)).toMatchObject({ state: "canceled" });
  });

  test("tells the worker of a running one", async () => {
    const { id } = await api.accept();
    await api.store.claim(id, { worker: "w", token: "t" });
    const response = await api.fetch(`/v1/jobs/${id}`, { method: "DELETE" });
    expect(response.status).toBe(202);
    expect(await jobOf(response)).toMatchObject({ state: "running" });
    expect(await api.store.isCancelRequested(id)).toBe(true);
  });

  test("leaves a finished one as it is", async () => {
    const { id } = await api.accept();
    await runByHand(api.store, id, done("x"));
    const response = await api.fetch(`/v1/jobs/${id}`, { method: "DELETE" });
    expect(response.status).toBe(200);
    expect(await jobOf(response)).toMatchObject({ state: "done" });
  });

  test("does not know others", async () => {
    expect((await api.fetch(UNKNOWN, { method: "DELETE" })).status).toBe(404);
  });
});

describe("Idempotency-Key", () => {
  const headers = { "idempotency-key": "order-1" };

  test("fifty requests at once with the same key are one job", async () => {
    const responses = await Promise.all(Array.from({ length: 50 }, () => api.post(program, { headers })));
    const ids = new Set(await Promise.all(responses.map(async (response) => (await jobOf(response)).id)));
    expect(new Set(responses.map(({ status }) => status))).toEqual(new Set([202]));
    expect(ids.size).toBe(1);
    expect(await api.api.redis.zcard(api.store.keys.queued)).toBe(1);
    expect(responses.filter((response) => response.headers.get("idempotency-replayed") === "true")).toHaveLength(49);
  });

  test("a repetition gets the finished job", async () => {
    const { id } = await jobOf(await api.post(program, { headers }));
    await runByHand(api.store, id, done("x"));
    const response = await api.post(program, { headers });
    expect(response.status).toBe(200);
    expect(await jobOf(response)).toMatchObject({ id, state: "done" });
  });

  test("what is written differently and means the same is a repetition", async () => {
    const { id } = await jobOf(await api.post(program, { headers }));
    const other = JSON.stringify({ priority: "normal", command: program.command, image: program.image }, null, 2);
    expect((await jobOf(await api.post(other, { headers }))).id).toBe(id);
  });

  test("a different body is a conflict", async () => {
    await api.post(program, { headers });
    const response = await api.post({ ...program, stdin: "x" }, { headers });
    expect(response.status).toBe(409);
    expect(await response.json()).toMatchObject({ error: { code: "idempotency_conflict" } });
  });

  test("a repetition is answered even when the queue is full", async () => {
    const { id } = await jobOf(await api.post(program, { headers }));
    await Promise.all(Array.from({ length: 59 }, () => api.accept()));
    expect((await api.post(program)).status).toBe(429);
    expect((await jobOf(await api.post(program, { headers }))).id).toBe(id);
  });

  test.each(["", " ", "a b", "x".repeat(256)])("%j is no key", async (key) => {
    const response = await api.post(program, { headers: { "idempotency-key": key } });
    expect(response.status).toBe(400);
  });
});

describe("a full queue", () => {
  test("answers 429 with a time to wait, and takes jobs again when there is room", async () => {
    const jobs = await Promise.all(Array.from({ length: 60 }, () => api.accept()));
    const response = await api.post(program);
    expect(response.status).toBe(429);
    expect(Number(response.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(await response.json()).toMatchObject({ error: { code: "queue_full" } });
    await api.store.claim(jobs[0]?.id ?? "", { worker: "w", token: "t" });
    expect((await api.post(program)).status).toBe(202);
  });

  test("is never deeper than its limit, however many come at once", async () => {
    const responses = await Promise.all(Array.from({ length: 90 }, () => api.post(program)));
    expect(responses.filter(({ status }) => status === 202)).toHaveLength(60);
    expect(responses.filter(({ status }) => status === 429)).toHaveLength(30);
  });
});
