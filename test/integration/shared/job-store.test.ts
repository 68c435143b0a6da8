import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { cancelJob } from "../../../shared/submit.ts";
import { connected, done, requestOf, resultOf, runByHand } from "../../support/jobs.ts";
import { openStore, QUEUE, type StoreBench } from "./store.ts";

let bench: StoreBench;
beforeAll(async () => void (bench = await openStore()));
afterAll(async () => await bench[Symbol.asyncDispose]());

const first = { worker: "worker-1", token: "token-1" };
const second = { worker: "worker-2", token: "token-2" };

describe("a large result", () => {
  test("of which many are asked for at once takes Redis a few copies, and all get it", async () => {
    const bytes = 4 * 1024 * 1024;
    const job = await bench.submit();
    await runByHand(bench.store, job.id, done("a".repeat(bytes)));
    const observer = await connected(bench.server.url, "producer");
    using _connection = { [Symbol.dispose]: () => observer.disconnect() };
    /** What waits in Redis to be taken. */
    const buffered = async () => Number(/^mem_clients_normal:(\d+)/m.exec(await observer.info("memory"))?.[1]);
    let mostBytes = 0;
    const reading = Promise.all(Array.from({ length: 64 }, () => bench.store.get(job.id)));
    const look = async () => (mostBytes = Math.max(mostBytes, await buffered()));
    const isOver = reading.then(() => true);
    while (!(await Promise.race([isOver, look().then(() => false)])));
    for (const read of await reading) expect(read).toMatchObject({ state: "done", result: { stdout: { bytes } } });
    expect(mostBytes).toBeLessThan(8 * bytes);
  });
});

describe("an attempt", () => {
  test("is handed the request as it was accepted", async () => {
    const request = requestOf({ stdin: "grüße", limits: { processes: 7 } });
    const job = await bench.submit(request);
    const claim = await bench.store.claim(job.id, first);
    expect(claim).toMatchObject({ status: "claimed", request, attempt: 1 });
    expect(await bench.store.get(job.id)).toMatchObject({ state: "running", attempt: 1, finishedAt: null });
  });

  test("waited from when the job was accepted, by one clock", async () => {
    const job = await bench.submit();
    const claim = await bench.store.claim(job.id, first);
    if (claim.status !== "claimed") throw new Error(claim.status);
    expect(claim.startedAt).toBeGreaterThan(claim.createdAt);
    expect(new Date(claim.createdAt).toISOString()).toBe(job.createdAt);
  });

  test("that asks again, because it had no answer, is the same attempt", async () => {
    const job = await bench.submit();
    const claim = await bench.store.claim(job.id, first);
    expect(await bench.store.claim(job.id, first)).toEqual(claim);
  });

  test("ends the job", async () => {
    const job = await bench.submit();
    await runByHand(bench.store, job.id, done("42\n"));
    expect(await bench.store.get(job.id)).toMatchObject({ state: "done", result: resultOf("42\n"), error: null });
    expect(await bench.redis.hexists(bench.store.keys.job(job.id), "request")).toBe(0);
  });

  test("may say twice how it ended, and the first time counts", async () => {
    const job = await bench.submit();
    await bench.store.claim(job.id, first);
    expect(await bench.store.finish(job.id, first.token, done("1"))).toBe("stored");
    expect(await bench.store.finish(job.id, first.token, done("2"))).toBe("stored");
    expect(await bench.store.get(job.id)).toMatchObject({ result: { stdout: { content: "1" } } });
  });

  test("that lost the job to another one is not believed", async () => {
    const job = await bench.submit();
    await bench.store.claim(job.id, first);
    expect(await bench.store.claim(job.id, second)).toMatchObject({ status: "claimed", attempt: 2 });
    expect(await bench.store.finish(job.id, first.token, done("late"))).toBe("lost");
    expect(await bench.store.release(job.id, first.token)).toBe("lost");
    expect(await bench.store.get(job.id)).toMatchObject({ state: "running", attempt: 2 });
    expect(await bench.store.finish(job.id, second.token, done("right"))).toBe("stored");
    expect(await bench.store.get(job.id)).toMatchObject({ result: { stdout: { content: "right" } } });
  });

  test("that lost the job does not leave its files in the other one's place", async () => {
    const job = await bench.submit();
    const ending = (text: string) => ({
      ...done(text),
      outputs: [{ path: "out.txt", content: Buffer.from(text) }],
    });
    await bench.store.claim(job.id, first);
    await bench.store.claim(job.id, second);
    await bench.store.finish(job.id, second.token, ending("right"));
    expect(await bench.store.finish(job.id, first.token, ending("late"))).toBe("lost");
    const output = await bench.store.output(job.id, "out.txt");
    expect(Buffer.concat(await Array.fromAsync(output.read())).toString()).toBe("right");
  });

  test("brings files back of any size, piece by piece", async () => {
    const job = await bench.submit();
    await bench.store.claim(job.id, first);
    const contents = [0, 1, 256 * 1024, 1_000_001].map((bytes) => randomBytes(bytes));
    const outputs = contents.map((content, index) => ({ path: String(index), content }));
    await bench.store.finish(job.id, first.token, { ...done(""), outputs });
    for (const { path, content } of outputs) {
      const output = await bench.store.output(job.id, path);
      expect(output.bytes).toBe(content.byteLength);
      expect(content.equals(Buffer.concat(await Array.fromAsync(output.read())))).toBe(true);
      const key = bench.store.keys.output(job.id, first.token, path);
      expect(await bench.redis.ttl(key)).toBeGreaterThan(0);
    }
  });

  test("finds a finished job finished, and one that never was gone", async () => {
    const job = await bench.submit();
    await runByHand(bench.store, job.id, done(""));
    expect(await bench.store.claim(job.id, second)).toEqual({ status: "finished" });
    expect(await bench.store.claim("00000000-0000-4000-8000-000000000000", second)).toEqual({ status: "gone" });
  });

  test("gives a job back, which then waits in its old place", async () => {
    const [early, late] = [await bench.submit(), await bench.submit()];
    await bench.store.claim(early.id, first);
    expect(await bench.store.release(early.id, first.token)).toBe("released");
    expect(await bench.store.get(early.id)).toMatchObject({ state: "queued", startedAt: null, attempt: 1 });
    const waiting = await bench.redis.zrange(bench.store.keys.queued, "0", "-1");
    expect(waiting.indexOf(early.id)).toBeLessThan(waiting.indexOf(late.id));
    expect(await bench.store.finish(early.id, first.token, done("after all"))).toBe("lost");
    expect(await bench.store.claim(early.id, second)).toMatchObject({ status: "claimed", attempt: 2 });
  });
});

describe("a job that nobody will run any more", () => {
  const error = { code: "worker_lost", message: "lost" } as const;

  test("fails, and the attempt that comes back is not believed", async () => {
    const job = await bench.submit();
    await bench.store.claim(job.id, first);
    expect(await bench.store.fail(job.id, error)).toBe("failed");
    expect(await bench.store.finish(job.id, first.token, done("late"))).toBe("lost");
    expect(await bench.store.get(job.id)).toMatchObject({ state: "failed", error, result: null });
  });

  test("stays what it is when it was finished before", async () => {
    const job = await bench.submit();
    await runByHand(bench.store, job.id, done("done"));
    expect(await bench.store.fail(job.id, error)).toBe("unchanged");
    expect(await bench.store.get(job.id)).toMatchObject({ state: "done", error: null });
  });
});

describe("cancel", () => {
  test("ends a queued job at once and takes it out of the queue", async () => {
    const job = await bench.submit();
    expect(await cancelJob(bench.store, bench.queue, job.id)).toMatchObject({ state: "canceled", attempt: 0 });
    expect(await bench.queue.whereabouts(job.id)).toBe("over");
    expect(await bench.store.claim(job.id, first)).toEqual({ status: "finished" });
  });

  test("asks whoever runs the job, and stands whatever the attempt brings", async () => {
    const job = await bench.submit();
    await bench.store.claim(job.id, first);
    expect(await bench.store.isCancelRequested(job.id)).toBe(false);
    expect(await cancelJob(bench.store, bench.queue, job.id)).toMatchObject({ state: "running" });
    expect(await bench.store.isCancelRequested(job.id)).toBe(true);
    expect(await bench.store.finish(job.id, first.token, done("too late"))).toBe("stored");
    expect(await bench.store.get(job.id)).toMatchObject({ state: "canceled", result: null });
  });

  test("stands when the worker that ran the job dies: nobody runs it again", async () => {
    const job = await bench.submit();
    await bench.store.claim(job.id, first);
    await bench.store.cancel(job.id);
    expect(await bench.store.claim(job.id, second)).toEqual({ status: "canceled" });
    expect(await bench.store.get(job.id)).toMatchObject({ state: "canceled" });
  });

  test.each([
    ["given back", async (id: string) => expect(await bench.store.release(id, first.token)).toBe("canceled")],
    ["given up", async (id: string) => await bench.store.fail(id, { code: "worker_lost", message: "" })],
  ])("stands when the job is %s", async (_how, end) => {
    const job = await bench.submit();
    await bench.store.claim(job.id, first);
    await bench.store.cancel(job.id);
    await end(job.id);
    expect(await bench.store.get(job.id)).toMatchObject({ state: "canceled", error: null });
  });

  test("leaves a finished job as it is, and does not know others", async () => {
    const job = await bench.submit();
    await runByHand(bench.store, job.id, done("done"));
    expect(await bench.store.cancel(job.id)).toBe("finished");
    expect(await bench.store.get(job.id)).toMatchObject({ state: "done" });
    await expect(cancelJob(bench.store, bench.queue, "00000000-0000-4000-8000-000000000000")).rejects.toMatchObject({
      code: "job_not_found",
    });
  });
});

describe("what is left of a job", () => {
  test("a record that was not confirmed expires and does not count in the depth", async () => {
    const store = bench.storeWith({ confirmMs: 1 });
    await bench.redis.flushall();
    const acceptance = await store.accept(requestOf(), 1);
    if (acceptance.status !== "accepted") throw new Error(acceptance.status);
    await vi.waitFor(async () => expect(await store.get(acceptance.job.id)).toBeUndefined());
    expect(await store.confirm(acceptance.job.id)).toBe("expired");
    expect(await store.accept(requestOf(), 1)).toMatchObject({ status: "accepted" });
  });

  test("a record counts in the depth before it is confirmed", async () => {
    await bench.redis.flushall();
    await bench.store.accept(requestOf(), 1);
    await expect(bench.store.accept(requestOf(), 1)).rejects.toMatchObject({ code: "queue_full" });
  });

  test("a worker that is faster than the confirmation keeps the record", async () => {
    await bench.redis.flushall();
    const acceptance = await bench.store.accept(requestOf(), 10, { idempotency: { key: "k", owner: "o", body: {} } });
    if (acceptance.status !== "accepted") throw new Error(acceptance.status);
    const { id } = acceptance.job;
    await bench.store.claim(id, first);
    expect(await bench.store.confirm(id)).toBe("confirmed");
    expect(await bench.redis.zcard(bench.store.keys.queued)).toBe(0);
    expect(await ttls(`{${QUEUE}}:job:*`, `{${QUEUE}}:idempotency:*`)).toEqual([-1, -1]);
  });

  test("a finished job, its files and its idempotency key expire together", async () => {
    await bench.redis.flushall();
    const acceptance = await bench.store.accept(requestOf(), 10, { idempotency: { key: "k", owner: "o", body: {} } });
    if (acceptance.status !== "accepted") throw new Error(acceptance.status);
    const { id } = acceptance.job;
    await bench.store.claim(id, first);
    const outputs = [{ path: "a", content: Buffer.from("b") }];
    await bench.store.finish(id, first.token, { ...done(""), outputs });
    expect(await bench.store.confirm(id)).toBe("confirmed");
    const remaining = await ttls(`{${QUEUE}}:job:*`, `{${QUEUE}}:idempotency:*`);
    expect(remaining).toHaveLength(3);
    expect(remaining.every((seconds) => seconds > 0 && seconds <= 60)).toBe(true);
    expect(await bench.redis.keys(`{${QUEUE}}:{queued,running,pending}`)).toEqual([]);
  });

  async function ttls(...patterns: string[]): Promise<number[]> {
    const keys = (await Promise.all(patterns.map((pattern) => bench.redis.keys(pattern)))).flat();
    return await Promise.all(keys.map((key) => bench.redis.ttl(key)));
  }
});
