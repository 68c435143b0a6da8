import { randomInt } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type DataDirectory, makeDataDirectory } from "../../support/images.ts";
import { startRedis } from "../../support/redis.ts";
import { TcpProxy } from "../../support/tcp-proxy.ts";
import { startWorkerProcess, type WorkerProcess } from "../../support/worker.ts";
import { Client } from "./client.ts";

let data: DataDirectory;

beforeAll(async () => {
  data = await makeDataDirectory("bash");
});

afterAll(async () => {
  await data[Symbol.asyncDispose]();
});

/** A worker with two slots, on the data directory that all of a test's workers share. */
function start(redisUrl: string, environment: Record<string, string> = {}): WorkerProcess {
  return startWorkerProcess({ REDIS_URL: redisUrl, LONGSHORE_DATA: data.path, LONGSHORE_SLOTS: "2", ...environment });
}

/**
 * A time to sleep that no other process of this machine has in its command line, not even one that a killed run left.
 * @param seconds with one decimal
 */
function sleepOf(seconds: number): string {
  return `${seconds}${randomInt(1e9, 1e10)}`;
}

/** Ids of processes that have `marker` in their command line. */
async function processesOf(marker: string): Promise<string[]> {
  const ids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const commandLines = await Promise.all(ids.map((id) => readFile(`/proc/${id}/cmdline`, "utf8").catch(() => "")));
  return ids.filter((_, index) => commandLines[index]?.includes(marker));
}

/** As long as Redis is allowed to be away without harm: three times as long as a lock holds. */
const OUTAGE_MS = 30_000;

/** How often a lock is looked at, and a lost one found, at the latest: the test's patience. */
const PATIENCE_MS = 90_000;

describe("when a worker is killed in the middle of ten jobs", () => {
  it(
    "the next one finishes them, each is reported once, and nothing of the old one is left",
    { timeout: PATIENCE_MS },
    async () => {
      await using redis = await startRedis();
      await using client = await Client.open(redis.url);
      await using first = start(redis.url);
      await first.ready;
      const ids: string[] = [];
      const pause = sleepOf(0.3);
      for (let n = 0; n < 10; n++) {
        ids.push(
          await client.post({ language: "bash", source: 'sleep "$1"; echo "$2"', arguments: [pause, String(n)] }),
        );
      }
      // In the middle: some are over, two are running, the others wait.
      const third = ids[2] ?? "";
      await client.finished(third);
      first.signal("SIGKILL");
      await first.exit;
      const before = await Promise.all(ids.map((id) => client.store.get(id)));
      expect(before.filter((job) => job?.state === "done").length).toBeLessThan(10);

      await using second = start(redis.url);
      await second.ready;
      const jobs = await Promise.all(ids.map((id) => client.finished(id)));
      expect(jobs.map(({ state, result }) => [state, result?.stdout.content])).toEqual(
        ids.map((_, n) => ["done", `${n}\n`]),
      );
      await expect.poll(() => ids.map((id) => client.reportsOf(id))).toEqual(ids.map(() => 1));
      expect(await processesOf(pause)).toEqual([]);
    },
  );

  it("a job that loses its worker as often as it may fails, and says so", { timeout: PATIENCE_MS }, async () => {
    await using redis = await startRedis();
    await using client = await Client.open(redis.url, 1);
    await using first = start(redis.url, { LONGSHORE_ATTEMPTS: "1" });
    await first.ready;
    const id = await client.post({ language: "bash", source: "sleep 1000" });
    await client.started(id);
    first.signal("SIGKILL");
    await first.exit;
    await using second = start(redis.url, { LONGSHORE_ATTEMPTS: "1" });
    await second.ready;
    expect(await client.finished(id)).toMatchObject({ state: "failed", attempt: 1, error: { code: "worker_lost" } });
    await expect.poll(() => client.reportsOf(id)).toBe(1);
  });
});

describe("when a worker loses the lock of a job", () => {
  it(
    "the container is ended, and the job's next attempt is the one that is reported",
    { timeout: PATIENCE_MS },
    async () => {
      await using redis = await startRedis();
      await using client = await Client.open(redis.url);
      await using worker = start(redis.url);
      const port = await worker.ready;
      const id = await client.post({
        language: "bash",
        source: "sleep 7.5; echo over",
        limits: { wallTimeMs: 60_000 },
      });
      await client.started(id);
      expect(await client.redis.del(`${client.store.keys.prefix}:jobs:${id}:lock`)).toBe(1);
      expect(await client.finished(id)).toMatchObject({
        state: "done",
        attempt: 2,
        result: { stdout: { content: "over\n" } },
      });
      await expect.poll(() => client.reportsOf(id)).toBe(1);
      const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
      expect(metrics).toMatch(/^longshore_lost_locks_total\{.*\} 1$/m);
      expect(metrics).toMatch(/^longshore_job_retries_total\{.*\} 1$/m);
      // The first attempt's container was ended: only one ran to its end.
      expect(metrics).toMatch(/^longshore_runs_total\{.*outcome="exited".*\} 1$/m);
    },
  );
});

describe("when Redis goes away in the middle of work", () => {
  it("nothing is lost, everything is reported once, and work goes on by itself", { timeout: 120_000 }, async () => {
    await using redis = await startRedis();
    await using proxy = await TcpProxy.open(redis.port);
    await using client = await Client.open(redis.url);
    await using worker = start(`redis://127.0.0.1:${proxy.port}`);
    const metricsPort = await worker.ready;
    const pause = sleepOf(1.5);
    const post = async (n: number) =>
      await client.post({ language: "bash", source: 'sleep "$1"; echo "$2"', arguments: [pause, String(n)] });
    const ids = [await post(0), await post(1), await post(2), await post(3)];
    await client.started(ids[1] ?? "");
    proxy.reception = "refuse";
    await redis.kill();
    // Both running programs end in the meantime, and their worker has nobody to tell.
    await expectEventually(async () => (await processesOf(pause)).length, 0);
    await delay(OUTAGE_MS);
    expect(await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text()).toMatch(
      /^longshore_lost_locks_total\{.*\} 2$/m,
    );
    await redis.restart();
    // Who counts the reports listens before there can be any.
    await expectEventually(() => client.listeners(), 1);
    proxy.reception = "serve";
    const later = await post(4);
    const jobs = await Promise.all([...ids, later].map((id) => client.finished(id)));
    expect(jobs.map(({ state, result }) => [state, result?.stdout.content])).toEqual(
      [0, 1, 2, 3, 4].map((n) => ["done", `${n}\n`]),
    );
    // The first two ended while Redis was away: what they brought was kept, not made again.
    expect(jobs.slice(0, 2).map(({ attempt }) => attempt)).toEqual([1, 1]);
    // Another job's turn comes after all that the first two may still have to be taken up for: nothing follows it.
    expect(await client.run({ language: "bash", source: "echo last" })).toMatchObject({ state: "done" });
    await expectEventually(() => client.redis.llen(`${client.store.keys.prefix}:jobs:active`), 0);
    await expect.poll(() => jobs.map(({ id }) => client.reportsOf(id))).toEqual(jobs.map(() => 1));
  });

  it(
    "a container whose lock must have run out is ended, and its job is attempted again",
    { timeout: PATIENCE_MS },
    async () => {
      await using redis = await startRedis();
      await using client = await Client.open(redis.url);
      await using worker = start(redis.url);
      await worker.ready;
      const limits = { wallTimeMs: 300_000 };
      const pause = sleepOf(300.5);
      const id = await client.post({ language: "bash", source: `sleep ${pause}`, limits });
      // Until it runs, there being no process says nothing about the lock.
      await expectEventually(async () => (await processesOf(pause)).length > 0, true);
      await redis.kill();
      // Nobody can tell the worker: it goes by its own clock.
      await expectEventually(async () => (await processesOf(pause)).length, 0);
      await redis.restart();
      await expectEventually(async () => (await client.store.get(id))?.attempt, 2);
      expect((await client.store.get(id))?.state).toBe("running");
      expect(await client.store.cancel(id)).toBe("requested");
      expect(await client.finished(id)).toMatchObject({ state: "canceled", attempt: 2 });
    },
  );

  it("connections that fall silent are made anew, and work goes on by itself", { timeout: PATIENCE_MS }, async () => {
    await using redis = await startRedis();
    await using proxy = await TcpProxy.open(redis.port);
    await using client = await Client.open(redis.url);
    await using worker = start(`redis://127.0.0.1:${proxy.port}`);
    await worker.ready;
    expect(await client.run({ language: "bash", source: "echo before" })).toMatchObject({ state: "done" });
    proxy.freeze();
    const job = await client.run({ language: "bash", source: "echo after" });
    expect(job).toMatchObject({ state: "done", result: { stdout: { content: "after\n" } } });
  });

  it("a worker that starts waits for it", async () => {
    await using redis = await startRedis();
    await redis.kill();
    await using worker = start(redis.url);
    await redis.restart();
    await worker.ready;
    await using client = await Client.open(redis.url);
    expect(await client.run({ language: "bash", source: "echo up" })).toMatchObject({ state: "done" });
  });
});

describe("a worker that is told to stop", () => {
  it("lets running jobs finish, takes no others, and leaves the registry", async () => {
    await using redis = await startRedis();
    await using client = await Client.open(redis.url);
    await using worker = start(redis.url, { LONGSHORE_SLOTS: "1" });
    await worker.ready;
    const running = await client.post({ language: "bash", source: "sleep 1; echo over" });
    await client.started(running);
    const waiting = await client.post({ language: "bash", source: "echo never" });
    worker.signal("SIGTERM");
    expect(await worker.exit).toMatchObject({ code: 0, signal: null });
    expect(await client.store.get(running)).toMatchObject({ state: "done", result: { stdout: { content: "over\n" } } });
    expect(await client.store.get(waiting)).toMatchObject({ state: "queued", attempt: 0 });
    expect(await client.redis.smembers(client.store.keys.workers)).toEqual([]);
  });

  it("gives running jobs back at the deadline, and another worker does them", async () => {
    await using redis = await startRedis();
    await using client = await Client.open(redis.url);
    await using first = start(redis.url, { LONGSHORE_DRAIN_MS: "100" });
    await first.ready;
    const pause = sleepOf(3.5);
    const id = await client.post({ language: "bash", source: `sleep ${pause}; echo over` });
    await client.started(id);
    first.signal("SIGTERM");
    expect(await first.exit).toMatchObject({ code: 0, signal: null });
    expect(await client.store.get(id)).toMatchObject({ state: "queued", startedAt: null });
    expect(await processesOf(pause)).toEqual([]);
    await using second = start(redis.url);
    await second.ready;
    expect(await client.finished(id)).toMatchObject({ state: "done", attempt: 2, result: { exitCode: 0 } });
    await expect.poll(() => client.reportsOf(id)).toBe(1);
  });

  it("ends at once when it is told twice, and takes its containers along", async () => {
    await using redis = await startRedis();
    await using client = await Client.open(redis.url);
    await using worker = start(redis.url);
    await worker.ready;
    const pause = sleepOf(1000.5);
    const id = await client.post({ language: "bash", source: `sleep ${pause}` });
    await client.started(id);
    await expectEventually(async () => (await processesOf(pause)).length, 1);
    worker.signal("SIGTERM");
    await worker.said("draining");
    worker.signal("SIGTERM");
    expect((await worker.exit).code).toBe(1);
    await expectEventually(async () => (await processesOf(pause)).length, 0);
  });
});

describe("a worker refuses to start", () => {
  it("on a Redis that may throw jobs away", async () => {
    await using redis = await startRedis({ "maxmemory-policy": "allkeys-lru" });
    await using worker = start(redis.url);
    const { code, complaints } = await worker.exit;
    expect(code).toBe(1);
    expect(complaints).toBe("longshore worker: redis maxmemory-policy is allkeys-lru: set it to noeviction\n");
  });

  it("with a variable that is malformed or unknown, naming each", async () => {
    await using worker = startWorkerProcess({ LONGSHORE_SLOTS: "none", LONGSHORE_SLOT: "1" });
    const { code, complaints } = await worker.exit;
    expect(code).toBe(1);
    expect(complaints).toMatch(/^longshore worker: LONGSHORE_SLOT is unknown/m);
    expect(complaints).toMatch(/^longshore worker: LONGSHORE_SLOTS /m);
  });
});

/** Looks again and again until a value is what it should be; the test's time limit ends it otherwise. */
async function expectEventually<Value>(look: () => Promise<Value>, expected: Value): Promise<void> {
  await expect.poll(look, { timeout: PATIENCE_MS, interval: 50 }).toBe(expected);
}
