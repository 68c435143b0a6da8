import { Queue, Worker } from "bullmq";
import { once } from "node:events";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { QUEUE_NAME } from "../../../shared/keys.ts";
import { queueSettings, workerSettings, type JobReference } from "../../../shared/queue.ts";
import { readQueueDepth } from "../../../shared/queue-depth.ts";
import { Reconciler } from "../../../shared/reconcile.ts";
import { connected, done, requestOf } from "../../support/jobs.ts";
import { openStore, QUEUE, type StoreBench } from "./store.ts";

let bench: StoreBench;
beforeAll(async () => void (bench = await openStore()));
afterAll(async () => await bench[Symbol.asyncDispose]());
beforeEach(async () => await bench.redis.flushall());

const attempt = { worker: "worker-1", token: "token-1" };

/** Takes all jobs that wait, one after the other, and returns their ids in the order in which they came. */
async function takeAll(): Promise<string[]> {
  const connection = await connected(bench.server.url, "consumer");
  const taken: string[] = [];
  const worker = new Worker<JobReference>(QUEUE_NAME, async (job) => void taken.push(job.data.id), {
    connection,
    autorun: false,
    ...workerSettings(QUEUE, 3),
  });
  const running = worker.run();
  await once(worker, "drained");
  await worker.close();
  await running;
  connection.disconnect();
  return taken;
}

test("high comes before normal and normal before low, each in the order of arrival", async () => {
  const jobs = [];
  for (const priority of ["low", "normal", "high", "low", "normal", "high"]) {
    jobs.push((await bench.submit(requestOf({ priority }))).id);
  }
  const [low1, normal1, high1, low2, normal2, high2] = jobs;
  expect(await takeAll()).toEqual([high1, high2, normal1, normal2, low1, low2]);
});

test("BullMQ carries nothing but the id, and forgets it when the job is over", async () => {
  await bench.submit(requestOf({ stdin: "secret" }));
  const [key = ""] = await bench.redis.keys(`{${QUEUE}}:jobs:*-*-*-*-*`);
  expect(JSON.stringify(await bench.redis.hgetall(key))).not.toContain("secret");
  await takeAll();
  expect(await bench.redis.keys(`{${QUEUE}}:jobs:*-*-*-*-*`)).toEqual([]);
});

test("adding a job twice queues it once", async () => {
  const { id } = await bench.submit();
  await bench.queue.add(id, { kind: "run", priority: "normal" });
  expect(await takeAll()).toEqual([id]);
});

test("depth and age are those of each state", async () => {
  const [oldest] = [await bench.submit(), await bench.submit(), await bench.submit()];
  await bench.store.claim(oldest.id, attempt);
  const [queued, running] = await readQueueDepth(bench.redis, QUEUE);
  expect(queued).toMatchObject({ state: "queued", jobs: 2 });
  expect(running).toMatchObject({ state: "running", jobs: 1 });
  expect(queued?.oldestAgeSeconds).toBeGreaterThan(0);
});

test("jobs that BullMQ has given up are failed, others are left alone", async () => {
  const [lost, waiting, finished] = [await bench.submit(), await bench.submit(), await bench.submit()];
  await bench.store.claim(lost.id, attempt);
  await bench.queue.remove(lost.id);
  await bench.store.claim(finished.id, { worker: "worker-2", token: "token-2" });
  await bench.store.finish(finished.id, "token-2", done("done"));
  const reconciler = new Reconciler(bench.redis, bench.store, bench.queue);
  expect(await reconciler.next()).toEqual([lost.id]);
  expect(await bench.store.get(lost.id)).toMatchObject({ state: "failed", error: { code: "worker_lost" } });
  expect(await bench.store.get(waiting.id)).toMatchObject({ state: "queued" });
  expect(await bench.store.get(finished.id)).toMatchObject({ state: "done" });
  expect(await reconciler.next()).toEqual([]);
});

test("a job that BullMQ has given up is found behind any number of older ones that wait", async () => {
  const waiting = 300;
  for (let count = 0; count < waiting; count++) await bench.submit(requestOf({ priority: "low" }));
  const lost = await bench.submit();
  await bench.queue.remove(lost.id);
  const reconciler = new Reconciler(bench.redis, bench.store, bench.queue);
  const found: string[] = [];
  // Each step looks at 100 places of Redis's table, which has 512 of them.
  for (let step = 0; step < 6; step++) found.push(...(await reconciler.next()));
  expect(found).toEqual([lost.id]);
  expect((await readQueueDepth(bench.redis, QUEUE))[0]).toMatchObject({ state: "queued", jobs: waiting });
});

test("a job that a clock which was ahead has put off is taken up, and one that waits for its next attempt is left", async () => {
  const queue = new Queue<JobReference>(QUEUE_NAME, { connection: bench.redis, ...queueSettings(QUEUE, 3) });
  const putOff = async (id: string, delay: number) =>
    void (await queue.add("job", { id, needs: [] }, { jobId: id, delay }));
  await putOff("by-an-hour", 3_600_000);
  await putOff("by-a-second", 1000);
  await new Reconciler(bench.redis, bench.store, bench.queue).next();
  expect((await queue.getDelayed()).map(({ id }) => id)).toEqual(["by-a-second"]);
  expect(await queue.getJobState("by-an-hour")).toBe("waiting");
  await queue.close();
});
