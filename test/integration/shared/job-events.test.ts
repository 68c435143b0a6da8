import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { JobEvents, type NumberedEvent } from "../../../shared/job-events.ts";
import { connected, done } from "../../support/jobs.ts";
import { openStore, QUEUE, type StoreBench } from "./store.ts";

let bench: StoreBench;
let events: JobEvents;
beforeAll(async () => {
  bench = await openStore();
  events = new JobEvents({ redis: bench.redis, queue: QUEUE });
});
afterAll(async () => await bench[Symbol.asyncDispose]());

const first = { worker: "worker-1", token: "token-1" };
const second = { worker: "worker-2", token: "token-2" };
const START = { attempt: 0, sequence: 0 };

const output = (sequence: number, text: string | Buffer, offset = 0, attempt = 1): NumberedEvent => ({
  attempt,
  sequence,
  name: "stdout",
  offset,
  bytes: Buffer.from(text),
});

/** A job in the hands of the first attempt. */
async function running(): Promise<string> {
  const { id } = await bench.submit();
  await bench.store.claim(id, first);
  return id;
}

describe("events of a job", () => {
  test("are read as they were appended, bytes as they are", async () => {
    const id = await running();
    const bytes = randomBytes(100_000);
    const progress = { attempt: 1, sequence: 2, name: "case", data: { name: "grüße", points: 1.5 } } as const;
    expect(await events.append(id, first, [output(1, bytes), progress])).toBe("appended");
    expect(await events.read(id, START, 10)).toEqual([output(1, bytes), progress]);
    expect(await events.read(id, { attempt: 1, sequence: 1 }, 10)).toEqual([progress]);
    expect(await events.read(id, START, 1)).toEqual([output(1, bytes)]);
  });

  test("that are sent twice, because there was no answer, are there once", async () => {
    const id = await running();
    await events.append(id, first, [output(1, "a"), output(2, "b", 1)]);
    expect(await events.append(id, first, [output(1, "a"), output(2, "b", 1), output(3, "c", 2)])).toBe("appended");
    expect(await events.read(id, START, 10)).toEqual([output(1, "a"), output(2, "b", 1), output(3, "c", 2)]);
  });

  test("are refused from an attempt that lost the job, or after its end", async () => {
    const id = await running();
    await bench.store.claim(id, second);
    expect(await events.append(id, first, [output(1, "late")])).toBe("lost");
    await bench.store.finish(id, second.token, done(""));
    expect(await events.append(id, second, [output(1, "later", 0, 2)])).toBe("lost");
    expect(await events.read(id, START, 10)).toEqual([]);
  });

  test("begin anew with another attempt, and not with the same one that asks again", async () => {
    const id = await running();
    await events.append(id, first, [output(1, "a")]);
    await bench.store.claim(id, first);
    expect(await events.read(id, START, 10)).toHaveLength(1);
    await bench.store.release(id, first.token);
    await bench.store.claim(id, second);
    expect(await events.read(id, START, 10)).toEqual([]);
    await events.append(id, second, [output(1, "b", 0, 2)]);
    expect(await events.read(id, { attempt: 1, sequence: 1 }, 10)).toEqual([output(1, "b", 0, 2)]);
  });

  test("expire with the job, and not before", async () => {
    const id = await running();
    await events.append(id, first, [output(1, "a")]);
    expect(await bench.redis.ttl(bench.store.keys.jobEvents(id))).toBe(-1);
    await bench.store.finish(id, first.token, done("a"));
    const [job, stream] = await Promise.all([
      bench.redis.pttl(bench.store.keys.job(id)),
      bench.redis.pttl(bench.store.keys.jobEvents(id)),
    ]);
    expect(stream).toBeGreaterThan(0);
    expect(stream).toBeLessThanOrEqual(job + 1000);
  });
});

describe("who watches a job", () => {
  test("is known to every later attempt, and told to the one that runs", async () => {
    const subscriber = await connected(bench.server.url, "subscriber");
    const told: string[] = [];
    subscriber.on("message", (channel: string, id: string) => told.push(`${channel} ${id}`));
    await subscriber.subscribe(events.keys.watchChannel, events.keys.newsChannel);
    const id = await running();
    expect(await events.isWatched(id)).toBe(false);
    expect(await events.watch(id)).toBe("watched");
    expect(await events.watch(id)).toBe("watched");
    expect(await events.isWatched(id)).toBe(true);
    await events.append(id, first, [output(1, "a")]);
    await bench.store.release(id, first.token);
    expect(await bench.store.claim(id, second)).toMatchObject({ watched: true, attempt: 2 });
    await subscriber.ping();
    const { watchChannel, newsChannel } = events.keys;
    // One request, and then: an event, the release, the claim.
    expect(told).toEqual([`${watchChannel} ${id}`, ...Array.from({ length: 3 }, () => `${newsChannel} ${id}`)]);
    subscriber.disconnect();
  });

  test("costs a job that is not watched no message", async () => {
    const subscriber = await connected(bench.server.url, "subscriber");
    let messages = 0;
    subscriber.on("message", () => messages++);
    await subscriber.subscribe(events.keys.watchChannel, events.keys.newsChannel);
    const id = await running();
    expect(await bench.store.get(id)).toMatchObject({ state: "running" });
    await bench.store.finish(id, first.token, done(""));
    await subscriber.ping();
    expect(messages).toBe(0);
    subscriber.disconnect();
  });

  test("of no job is told so", async () => {
    expect(await events.watch("00000000-0000-4000-8000-000000000000")).toBe("gone");
    expect(await events.standing("00000000-0000-4000-8000-000000000000")).toBeUndefined();
  });

  test("learns how a job stands without its result", async () => {
    const id = await running();
    expect(await events.standing(id)).toEqual({ state: "running", attempt: 1 });
  });
});
