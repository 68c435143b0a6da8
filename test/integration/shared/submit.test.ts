import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { Submitter } from "../../../shared/submit.ts";
import { JobEnd } from "../../../shared/wait-for-job.ts";
import { JobSignals } from "../../../shared/job-signals.ts";
import { connected, done, requestOf, runByHand } from "../../support/jobs.ts";
import { openStore, QUEUE, type StoreBench } from "./store.ts";

let bench: StoreBench;
beforeAll(async () => void (bench = await openStore()));
afterAll(async () => await bench[Symbol.asyncDispose]());
beforeEach(async () => await bench.redis.flushall());

const ID = "5d3c1b9e-3a52-4f43-9d5e-6d1c27a1e001";

/** Which keys of a job are there: its record, and what BullMQ has of it. */
async function traces(id: string): Promise<string[]> {
  return (await bench.redis.keys(`*${id}*`)).toSorted();
}

test("the record is written before BullMQ has the job, and confirmed after it", async () => {
  // The scripts are known to the connection then, and are called by their digests.
  await bench.submit();
  const monitor = await bench.redis.duplicate().monitor();
  const touched: string[] = [];
  monitor.on("monitor", (_time: string, [name = "", key = "", , field = ""]: string[]) => {
    if (key.endsWith(ID))
      touched.push(`${name.toLowerCase()} ${key.includes(":jobs:") ? "bullmq" : "record"} ${field}`);
  });
  await bench.submitter.submit(requestOf(), { id: ID });
  await vi.waitFor(() => expect(touched.some((line) => line.startsWith("persist"))).toBe(true));
  monitor.disconnect();
  const steps = touched.filter((line) => /^(hset|hmset|persist) /.test(line)).map((line) => line.replace(/ \S*$/, ""));
  expect(steps).toEqual(["hset record", "hmset bullmq", "persist record"]);
});

test("a job is called as it is asked to be", async () => {
  const { job } = await bench.submitter.submit(requestOf(), { id: ID });
  expect(job.id).toBe(ID);
  expect(await bench.queue.whereabouts(ID)).toBe("waiting");
  expect(await bench.redis.ttl(bench.store.keys.job(ID))).toBe(-1);
});

test("what a full queue refuses is not left to BullMQ, neither the first time nor afterwards", async () => {
  const submitter = new Submitter(bench.store, bench.queue, 1);
  const { job } = await submitter.submit(requestOf());
  for (const id of [ID, ID.replace(/1$/, "2")]) {
    await expect(submitter.submit(requestOf(), { id })).rejects.toMatchObject({ code: "queue_full" });
    await vi.waitFor(async () => expect(await traces(id)).toEqual([]));
  }
  expect(await bench.queue.whereabouts(job.id)).toBe("waiting");
});

test("nothing is left of a job that BullMQ refuses", async () => {
  // BullMQ's list of what waits is a set here, which its script stumbles over.
  await bench.redis.set(`{${QUEUE}}:jobs:prioritized`, "of another type");
  await expect(bench.submitter.submit(requestOf(), { id: ID })).rejects.toThrow("WRONGTYPE");
  expect(await bench.store.get(ID)).toBeUndefined();
  expect(await bench.redis.zcard(bench.store.keys.queued)).toBe(0);
  expect(await bench.redis.zcard(bench.store.keys.pending)).toBe(0);
});

test("a job that a worker has is not withdrawn", async () => {
  const { id } = await bench.submit();
  await bench.store.claim(id, { worker: "worker-1", token: "token-1" });
  await bench.store.withdraw(id);
  expect(await bench.store.get(id)).toMatchObject({ state: "running" });
});

test("a job whose poster watches is watched at its first attempt already", async () => {
  await bench.submitter.submit(requestOf(), { id: ID, audience: "watching" });
  expect(await bench.store.claim(ID, { worker: "worker-1", token: "token-1" })).toMatchObject({ watched: true });
});

test.each([
  { what: "a small result is told with the end of its job", text: "42\n", readings: 0 },
  { what: "a large result is read from the record", text: "x".repeat(10_000), readings: 1 },
])("to who listened before the job was accepted, $what", async ({ text, readings }) => {
  const subscriber = await connected(bench.server.url, "subscriber");
  using signals = new JobSignals(subscriber, bench.redis, bench.store.keys.finishedChannel);
  // All listeners are called once more when it has heard that it is subscribed.
  const subscribed = Promise.withResolvers<void>();
  using _other = signals.watch("another", () => subscribed.resolve());
  await subscribed.promise;
  using end = new JobEnd(signals, ID);
  const { job } = await bench.submitter.submit(requestOf(), { id: ID });
  const reads = vi.spyOn(bench.store, "get");
  const waiting = end.wait(bench.store, job, new AbortController().signal);
  await runByHand(bench.store, ID, done(text));
  const ended = await waiting;
  expect(ended).toMatchObject({ state: "done" });
  expect(reads).toHaveBeenCalledTimes(readings);
  expect(ended).toEqual(await bench.store.get(ID));
  subscriber.disconnect();
});
