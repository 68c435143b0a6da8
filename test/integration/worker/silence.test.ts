import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type DataDirectory, makeDataDirectory } from "../../support/images.ts";
import { type RedisServer, startRedis } from "../../support/redis.ts";
import { TcpProxy } from "../../support/tcp-proxy.ts";
import { startWorkerProcess, type WorkerProcess } from "../../support/worker.ts";
import { Client } from "./client.ts";

let redis: RedisServer;
let data: DataDirectory;

beforeAll(async () => {
  redis = await startRedis();
  data = await makeDataDirectory("bash");
});

afterAll(async () => {
  await data[Symbol.asyncDispose]();
  await redis.stop();
});

/** A worker that reaches Redis through a proxy, and a client that does not. */
interface Bench extends AsyncDisposable {
  readonly proxy: TcpProxy;
  readonly client: Client;
  readonly worker: WorkerProcess;
}

async function open(): Promise<Bench> {
  await using resources = new AsyncDisposableStack();
  const proxy = resources.use(await TcpProxy.open(redis.port));
  const client = resources.use(await Client.open(redis.url));
  await client.redis.flushall();
  const url = `redis://127.0.0.1:${proxy.port}`;
  const worker = resources.use(startWorkerProcess({ REDIS_URL: url, LONGSHORE_DATA: data.path, LONGSHORE_SLOTS: "2" }));
  await worker.ready;
  const kept = resources.move();
  return { proxy, client, worker, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

const limits = { wallTimeMs: 300_000 };
const endless = { language: "bash", source: "sleep 300", limits };
/** Longer than a lock holds. */
const long = { language: "bash", source: "sleep 12; echo over", limits };

/** Longer than it takes, one after the other, for everything to be noticed; the test's patience, not a measure. */
const PATIENCE_MS = 60_000;

describe("when the connections to Redis fall silent", { timeout: PATIENCE_MS }, () => {
  it("running jobs keep their locks, and hear when they are canceled", async () => {
    await using bench = await open();
    const { client, proxy } = bench;
    const ids = [await client.post(long), await client.post(endless)] as const;
    for (const id of ids) await client.started(id);
    proxy.freeze();
    expect(await client.store.cancel(ids[1])).toBe("requested");
    expect(await client.finished(ids[1])).toMatchObject({ state: "canceled", attempt: 1 });
    expect(await client.finished(ids[0])).toMatchObject({ state: "done", attempt: 1 });
    await expect.poll(() => ids.map((id) => client.reportsOf(id))).toEqual([1, 1]);
  });

  it("and new ones do so while they are made, too, work goes on as soon as one is answered", async () => {
    await using bench = await open();
    const { client, proxy } = bench;
    const before = proxy.connections;
    proxy.reception = "ignore";
    proxy.freeze();
    // For commands, for cancellations, and BullMQ's own.
    await expect.poll(() => proxy.connections - before, { timeout: PATIENCE_MS }).toBeGreaterThanOrEqual(3);
    proxy.reception = "serve";
    expect(await client.run({ language: "bash", source: "echo after" })).toMatchObject({ state: "done" });
  });

  it("for longer than a lock holds, the container is ended, and the job is let go even if Redis still locks it", async () => {
    await using bench = await open();
    const { client, proxy, worker } = bench;
    const id = await client.post(endless);
    await client.started(id);
    const lost = async (): Promise<number> => {
      const metrics = await (await fetch(`http://127.0.0.1:${await worker.ready}/metrics`)).text();
      return Number(/^longshore_lost_locks_total\{.*\} (\d+)$/m.exec(metrics)?.[1] ?? 0);
    };
    proxy.reception = "ignore";
    proxy.freeze();
    // Redis, whose clock is its own, goes on holding what the worker must believe to be lost.
    expect(await client.redis.pexpire(`${client.store.keys.prefix}:jobs:${id}:lock`, 10 * PATIENCE_MS)).toBe(1);
    await expect.poll(lost, { timeout: PATIENCE_MS }).toBe(1);
    expect(client.reportsOf(id)).toBe(0);
    proxy.reception = "serve";
    await expect.poll(async () => (await client.store.get(id))?.attempt, { timeout: PATIENCE_MS }).toBe(2);
    expect(await client.store.cancel(id)).toBe("requested");
    expect(await client.finished(id)).toMatchObject({ state: "canceled", attempt: 2 });
    await expect.poll(() => client.reportsOf(id)).toBe(1);
  });
});
