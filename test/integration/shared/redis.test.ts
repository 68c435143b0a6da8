import { describe, expect, test } from "vitest";
import { JobSignals } from "../../../shared/job-signals.ts";
import { checkRedis } from "../../../shared/redis.ts";
import { waitForJob } from "../../../shared/wait-for-job.ts";
import { WorkerRegistry, type WorkerInfo } from "../../../shared/workers.ts";
import { connected, done, requestOf, runByHand } from "../../support/jobs.ts";
import { startRedis } from "../../support/redis.ts";
import { openStore, QUEUE } from "./store.ts";

describe("a Redis is refused", () => {
  test("when it may throw jobs away", async () => {
    await using server = await startRedis({ "maxmemory-policy": "allkeys-lru" });
    const redis = await connected(server.url, "producer");
    await expect(checkRedis(redis)).rejects.toThrow("redis maxmemory-policy is allkeys-lru: set it to noeviction");
    redis.disconnect();
  });

  test("only then", async () => {
    await using server = await startRedis();
    const redis = await connected(server.url, "producer");
    await expect(checkRedis(redis)).resolves.toBeUndefined();
    redis.disconnect();
  });

  test("with redis_unavailable when it is full", async () => {
    await using bench = await openStore();
    await bench.redis.config("SET", "maxmemory", "1");
    await expect(bench.submit()).rejects.toMatchObject({ code: "redis_unavailable" });
  });
});

test("commands of one turn reach Redis together", async () => {
  await using server = await startRedis();
  const redis = await connected(server.url, "producer");
  const readsUntilNow = async (): Promise<number> =>
    Number(/^total_reads_processed:(\d+)/m.exec(await redis.info("stats"))?.[1]);
  const before = await readsUntilNow();
  // So many that Redis would begin to read before the last is written.
  const values = Array.from({ length: 300 }, (_, index) => String(index));
  await Promise.all(values.map((value) => redis.rpush("values", value)));
  const after = await readsUntilNow();
  // The commands', and that of the question.
  expect(after - before).toBe(2);
  expect(await redis.lrange("values", 0, -1)).toEqual(values);
  redis.disconnect();
});

describe("who waits for a job", () => {
  test("is told as soon as it is finished", async () => {
    await using bench = await openStore();
    const subscriber = await connected(bench.server.url, "subscriber");
    using signals = new JobSignals(subscriber, bench.redis, bench.store.keys.finishedChannel);
    const job = await bench.submit();
    const waiting = waitForJob(bench.store, signals, job, new AbortController().signal);
    await runByHand(bench.store, job.id, done("42\n"));
    expect(await waiting).toMatchObject({ state: "done" });
    expect(signals.size).toBe(0);
    subscriber.disconnect();
  });

  test("misses nothing that happened while Redis was away", async () => {
    await using bench = await openStore();
    const subscriber = await connected(bench.server.url, "subscriber");
    using signals = new JobSignals(subscriber, bench.redis, bench.store.keys.finishedChannel);
    const job = await bench.submit();
    const waiting = waitForJob(bench.store, signals, job, new AbortController().signal);
    await bench.server.kill();
    await bench.server.restart();
    // a worker's connection, which may well be back before the subscriber's
    const worker = await connected(bench.server.url, "consumer");
    await runByHand(bench.storeOn(worker), job.id, done("while nobody listened"));
    expect(await waiting).toMatchObject({ result: { stdout: { content: "while nobody listened" } } });
    worker.disconnect();
    subscriber.disconnect();
  });

  test("gets what was last known when the time is up, also while Redis is away", async () => {
    await using bench = await openStore();
    const subscriber = await connected(bench.server.url, "subscriber");
    using signals = new JobSignals(subscriber, bench.redis, bench.store.keys.finishedChannel);
    const job = await bench.submit(requestOf());
    await bench.server.kill();
    expect(await waitForJob(bench.store, signals, job, AbortSignal.timeout(20))).toEqual(job);
    expect(signals.size).toBe(0);
    subscriber.disconnect();
  });
});

describe("workers", () => {
  const worker = (id: string): WorkerInfo => ({
    id,
    host: "node-1",
    version: "0.1.0",
    slots: { total: 2, busy: 1 },
    images: [{ reference: "python", digest: `sha256:${"0".repeat(64)}`, layers: 2, bytes: 1000 }],
    imageStore: { layers: 2, bytes: 1000, blobBytes: 0 },
    volumes: [],
    cgroupVersion: 1,
    kernel: "6.1.0",
    startedAt: "2026-01-01T00:00:00.000Z",
  });

  test("are listed until they withdraw or are silent for ten seconds", async () => {
    await using bench = await openStore();
    const registry = new WorkerRegistry(bench.redis, QUEUE);
    await registry.announce(worker("b"));
    await registry.announce(worker("a"));
    expect(await registry.list()).toEqual([worker("a"), worker("b")]);
    await registry.withdraw("b");
    expect(await registry.list()).toEqual([worker("a")]);
    expect(await bench.redis.pttl(bench.store.keys.worker("a"))).toBeLessThanOrEqual(10_000);
    await bench.redis.pexpire(bench.store.keys.worker("a"), 0);
    expect(await registry.list()).toEqual([]);
    expect(await bench.redis.exists(bench.store.keys.workers)).toBe(0);
  });

  test("of another version that cannot be read are left out", async () => {
    await using bench = await openStore();
    const registry = new WorkerRegistry(bench.redis, QUEUE);
    await registry.announce(worker("a"));
    await registry.announce(worker("b"));
    await bench.redis.set(bench.store.keys.worker("b"), '{"id":"b","future":true}');
    expect(await registry.list()).toEqual([worker("a")]);
  });
});
