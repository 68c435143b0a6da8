/** The shared state of divided jobs: attempts and their parts, played by hand. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BlobLedger } from "../../../shared/blobs/ledger.ts";
import type { Digest } from "../../../shared/digest.ts";
import { JobEvents, type NumberedEvent, type OutputSource } from "../../../shared/job-events.ts";
import type { Ending } from "../../../shared/job-store.ts";
import type { ShardEvent } from "../../../shared/shard-result.ts";
import { partId, type ShardPartRequest, type ShardPlan, type ShardWork } from "../../../shared/shard-part.ts";
import { ShardStore, type Holding } from "../../../shared/shard-store.ts";
import { eventOf } from "../../../worker/jobs/shard/parts.ts";
import { requestOf } from "../../support/jobs.ts";
import { openStore, QUEUE, type StoreBench } from "./store.ts";

let bench: StoreBench;
let shards: ShardStore;
let events: JobEvents;

beforeAll(async () => {
  bench = await openStore();
  events = new JobEvents({ redis: bench.redis, queue: QUEUE });
  shards = new ShardStore({
    redis: bench.redis,
    queue: QUEUE,
    resultTtlSeconds: 60,
    layerTtlSeconds: 60,
    insist: (call) => call(),
  });
});
afterAll(async () => await bench[Symbol.asyncDispose]());

const request = requestOf({ kind: "shard", items: ["a", "b"], command: ["run", "{items}"] });

/** A job in the hands of an attempt. */
async function claimed(): Promise<Holding> {
  const { id } = await bench.submit(request);
  const token = randomUUID();
  await bench.store.claim(id, { worker: "w", token });
  return { id, token };
}

function planOf(works: readonly ShardWork[], batches: readonly string[][] = []): ShardPlan {
  return {
    setup: null,
    setupLayer: null,
    discovery: null,
    image: "",
    timings: { queuedMs: 0, pullMs: 0, setupMs: 0, discoverMs: 0 },
    parts: works.map((work) => ({ work, expectedMs: null })),
    batches,
  };
}

function partRequest(job: string, shard: number, work: ShardWork): ShardPartRequest {
  return { kind: "shard-part", job, shard, shards: 2, work, setup: null, priority: "normal" };
}

/** Divides a job into two parts, which BullMQ is said to have. */
async function divided(batches: readonly string[][] = []): Promise<{ job: Holding; parts: ShardPartRequest[] }> {
  const job = await claimed();
  const work: ShardWork = batches.length > 0 ? { kind: "batches" } : { kind: "whole" };
  const parts = [partRequest(job.id, 1, work), partRequest(job.id, 2, work)];
  await fanOut(job, parts, batches);
  for (const { shard } of parts) await bench.store.confirm(partId(job.id, shard));
  await bench.store.suspend(job.id, job.token);
  return { job, parts };
}

async function fanOut(job: Holding, parts: readonly ShardPartRequest[], batches: readonly string[][] = []) {
  const plan = planOf(
    parts.map(({ work }) => work),
    batches,
  );
  return await shards.fanOut(
    job,
    plan,
    parts.map((part) => ({ request: part, event: eventOf(part) })),
  );
}

/** An attempt at a part. */
async function begun({ job, shard }: ShardPartRequest): Promise<Holding> {
  const holding = { id: partId(job, shard), token: randomUUID() };
  const claim = await bench.store.claim(holding.id, { worker: "w", token: holding.token });
  if (claim.status !== "claimed") throw new Error(`the part is ${claim.status}`);
  return holding;
}

async function statesOf({ id }: Holding): Promise<string[]> {
  return (await shards.standings(id, 2)).map(({ state }) => state);
}

describe("a job that is divided", () => {
  test("is continued by the same attempt, whoever claims it", async () => {
    const { job } = await divided();
    const claim = await bench.store.claim(job.id, { worker: "another", token: "t" });
    expect(claim).toMatchObject({ status: "claimed", attempt: 1, phase: "divided", request });
    expect(await bench.store.get(job.id)).toMatchObject({ state: "running", attempt: 1 });
  });

  test("has parts that nobody sees from outside", async () => {
    const { job } = await divided();
    expect(await bench.store.get(partId(job.id, 1))).toBeUndefined();
    expect(await statesOf(job)).toEqual(["queued", "queued"]);
  });

  test("may be divided again by who does not know that it was: parts stay as they are", async () => {
    const { job, parts } = await divided([["a"], ["b"]]);
    const [first] = parts;
    if (first === undefined) throw new Error("there is no part");
    const part = await begun(first);
    expect(await shards.takeBatch(part, first, 0)).toEqual(["a"]);
    await bench.store.claim(job.id, { worker: "w", token: "again" });
    expect(await fanOut({ ...job, token: "again" }, parts, [["a"], ["b"]])).toBe("divided");
    expect(await statesOf(job)).toEqual(["running", "queued"]);
    expect(await shards.takeBatch(part, first, 1)).toEqual(["b"]);
    expect(await shards.takeBatch(part, first, 2)).toBe("none");
  });

  test("cannot be divided by an attempt that has lost it", async () => {
    const job = await claimed();
    await bench.store.claim(job.id, { worker: "another", token: "other" });
    expect(await fanOut(job, [partRequest(job.id, 1, { kind: "whole" })])).toBe("lost");
    expect(await bench.store.suspend(job.id, job.token)).toBe("lost");
    expect(await shards.plan(job.id)).toBeUndefined();
  });

  test("is canceled at once while its parts run, which are told, and those that wait with it", async () => {
    const { job, parts } = await divided();
    const [first] = parts;
    if (first === undefined) throw new Error("there is no part");
    const part = await begun(first);
    expect(await bench.store.cancel(job.id)).toBe("canceled");
    expect(await statesOf(job)).toEqual(["running", "canceled"]);
    expect(await bench.store.isCancelRequested(part.id)).toBe(true);
    expect(await bench.store.finish(part.id, part.token, over(first, "done"))).toBe("stored");
    expect(await statesOf(job)).toEqual(["canceled", "canceled"]);
  });

  test("takes its parts along when it is canceled in the moment in which it is divided", async () => {
    const job = await claimed();
    expect(await bench.store.cancel(job.id)).toBe("requested");
    await fanOut(job, [partRequest(job.id, 1, { kind: "whole" }), partRequest(job.id, 2, { kind: "whole" })]);
    expect(await bench.store.suspend(job.id, job.token)).toBe("canceled");
    expect(await statesOf(job)).toEqual(["canceled", "canceled"]);
  });

  test("keeps the results of its parts until it is finished itself, and then as long as its own", async () => {
    const { job, parts } = await divided([["a"]]);
    for (const part of parts) {
      const { id, token } = await begun(part);
      await bench.store.finish(id, token, over(part, "done"));
    }
    const keyOf = (shard: number) => bench.store.keys.job(partId(job.id, shard));
    expect(await bench.redis.ttl(keyOf(1))).toBe(-1);
    await bench.store.claim(job.id, { worker: "w", token: "merger" });
    await bench.store.finish(job.id, "merger", { state: "canceled" });
    for (const shard of [1, 2]) expect(await bench.redis.ttl(keyOf(shard))).toBeGreaterThan(0);
    const left = await bench.redis.keys(`*${job.id}*`);
    for (const key of left.filter((name) => !name.includes(":jobs:"))) {
      expect(await bench.redis.ttl(key), key).toBeGreaterThan(0);
    }
  });

  test("holds the files of its parts as long as its own record, whoever comes last", async () => {
    const ledger = new BlobLedger(bench.redis, QUEUE);
    const digest = (character: string): Digest => `sha256:${character.repeat(64)}`;
    const heldFor = async (holder: string, character: string): Promise<number> =>
      Number(await bench.redis.zscore(bench.store.keys.blobHolds, `${holder} ${character.repeat(64)}`)) - Date.now();
    const { job, parts } = await divided();
    const [first, second] = parts;
    if (first === undefined || second === undefined) throw new Error("no parts");
    const holder = shards.filesHolder(job.id);
    const [one, two] = [await begun(first), await begun(second)];
    await ledger.hold(digest("a"), 10, holder);
    await bench.store.finish(one.id, one.token, over(first, "done"));
    expect(await heldFor(holder.name, "a")).toBeGreaterThan(3600_000);
    await bench.store.cancel(job.id);
    const recordMs = await bench.redis.pttl(bench.store.keys.job(job.id));
    expect(await heldFor(holder.name, "a")).toBeLessThanOrEqual(recordMs + 5000);
    // One that did not know yet.
    await ledger.hold(digest("b"), 10, holder);
    await bench.store.finish(two.id, two.token, over(second, "canceled"));
    expect(await heldFor(holder.name, "b")).toBeLessThanOrEqual(recordMs + 5000);
    expect(await heldFor(holder.name, "b")).toBeGreaterThan(recordMs - 5000);
  });

  test("leaves nothing in the depth of the queue when it is over", async () => {
    const { job } = await divided();
    await bench.store.fail(job.id, { code: "worker_lost", message: "" });
    for (const set of [bench.store.keys.queued, bench.store.keys.running, bench.store.keys.pending]) {
      const ids = await bench.redis.zrange(set, "0", "-1");
      expect(ids.filter((id) => id.startsWith(job.id))).toEqual([]);
    }
  });
});

describe("batches", () => {
  const batches = [["a", "b"], ["c"], ["d"]];

  test("are taken in their order, each by one", async () => {
    const { parts } = await divided(batches);
    const [one, two] = await Promise.all(parts.map(begun));
    const [first, second] = parts;
    if (one === undefined || two === undefined || first === undefined || second === undefined)
      throw new Error("no parts");
    expect(await shards.takeBatch(one, first, 0)).toEqual(["a", "b"]);
    expect(await shards.takeBatch(two, second, 0)).toEqual(["c"]);
    expect(await shards.takeBatch(one, first, 1)).toEqual(["d"]);
    expect(await shards.takeBatch(two, second, 1)).toBe("none");
  });

  test("asked for again, because there was no answer, are the same", async () => {
    const { parts } = await divided(batches);
    const [first] = parts;
    if (first === undefined) throw new Error("no parts");
    const part = await begun(first);
    expect(await shards.takeBatch(part, first, 0)).toEqual(["a", "b"]);
    expect(await shards.takeBatch(part, first, 0)).toEqual(["a", "b"]);
    expect(await shards.takeBatch(part, first, 1)).toEqual(["c"]);
  });

  test("of an attempt that died are given back when the next one begins, and it takes none any more", async () => {
    const { parts } = await divided(batches);
    const [first, second] = parts;
    if (first === undefined || second === undefined) throw new Error("no parts");
    const dead = await begun(first);
    const other = await begun(second);
    await shards.takeBatch(dead, first, 0);
    expect(await shards.takeBatch(other, second, 0)).toEqual(["c"]);
    const next = await begun(first);
    expect(await shards.takeBatch(dead, first, 1)).toBe("lost");
    expect(await shards.begin(dead, first)).toBe("lost");
    expect(await shards.begin(next, first)).toBe("begun");
    expect(await shards.takeBatch(other, second, 1)).toEqual(["a", "b"]);
    expect(await shards.takeBatch(next, first, 0)).toEqual(["d"]);
  });
});

describe("what is remembered of a suite", () => {
  const suite = { owner: "a", suite: "unit" };

  test("is half what it took the last time, and half what it took before", async () => {
    const nothing = { itemsMs: new Map(), startMs: undefined };
    expect(await shards.times(suite, ["a", "start"])).toEqual(nothing);
    await shards.remember(suite, { itemsMs: new Map([["a", 100]]), startMs: 1000 });
    const next = new Map([
      ["a", 200],
      ["start", 5],
    ]);
    await shards.remember(suite, { itemsMs: next, startMs: 2000 });
    const both = new Map([
      ["a", 150],
      ["start", 5],
    ]);
    expect(await shards.times(suite, ["a", "b", "start"])).toEqual({ itemsMs: both, startMs: 1500 });
    // Where nobody could tell what a start took.
    await shards.remember(suite, { itemsMs: new Map([["a", 150]]), startMs: undefined });
    expect(await shards.times(suite, ["a"])).toEqual({ itemsMs: new Map([["a", 150]]), startMs: 1500 });
    expect(await shards.times({ ...suite, owner: "b" }, ["a"])).toEqual(nothing);
    expect(await shards.times({ ...suite, suite: undefined }, ["a"])).toEqual(nothing);
  });
});

describe("what is told of a part", () => {
  const state = (part: ShardPartRequest, parts: Partial<ShardEvent>, sequence = 1): NumberedEvent => ({
    attempt: 1,
    sequence,
    name: "shard",
    data: { ...eventOf(part), ...parts },
  });

  /** All that stands in the stream of a job. */
  async function toldOf({ id }: Holding): Promise<string[]> {
    const told = await events.read(id, { attempt: 0, sequence: 0 }, 100);
    return told.map((event) =>
      "bytes" in event
        ? `${event.name} ${Buffer.from(event.bytes).toString()}`
        : `${String(event.data["shard"])} ${String(event.data["state"])}`,
    );
  }

  /** A divided job with two parts, and whoever runs them. */
  async function begunBoth() {
    const { job, parts } = await divided();
    const [one, two] = await Promise.all(parts.map(begun));
    const [first, second] = parts;
    if (one === undefined || two === undefined || first === undefined || second === undefined)
      throw new Error("no parts");
    return { job, parts: [first, second] as const, holdings: [one, two] as const };
  }

  test("is written nowhere while nobody watches", async () => {
    const { job, parts, holdings } = await begunBoth();
    expect(await events.tell(job.id, holdings[0], [state(parts[0], { state: "running" })])).toBe("appended");
    await bench.store.finish(holdings[0].id, holdings[0].token, over(parts[0], "done"));
    expect(await bench.redis.exists(bench.store.keys.jobEvents(job.id))).toBe(0);
  });

  test("is told to who comes later: what waits and what is done from the records, the rest by who runs it", async () => {
    const { job, parts, holdings } = await begunBoth();
    await bench.store.finish(holdings[0].id, holdings[0].token, over(parts[0], "done"));
    expect(await bench.store.claim(holdings[1].id, { worker: "w", token: "t" })).toMatchObject({ watched: false });
    await events.watch(job.id);
    expect(await bench.store.claim(holdings[1].id, { worker: "w", token: "u" })).toMatchObject({ watched: true });
    expect(await toldOf(job)).toEqual(["1 done"]);
    const waiting = await divided();
    await events.watch(waiting.job.id);
    await events.watch(waiting.job.id);
    expect(await toldOf(waiting.job)).toEqual(["1 queued", "2 queued"]);
  });

  test("stands in the stream of its job, in one order, whoever tells it", async () => {
    const job = await claimed();
    await events.watch(job.id);
    await events.tell(job.id, job, [output(1, "set up", { phase: "setup" })]);
    const parts = [partRequest(job.id, 1, { kind: "whole" }), partRequest(job.id, 2, { kind: "whole" })] as const;
    await fanOut(job, parts);
    for (const { shard } of parts) await bench.store.confirm(partId(job.id, shard));
    await bench.store.suspend(job.id, job.token);
    const [one, two] = [await begun(parts[0]), await begun(parts[1])];
    await events.tell(job.id, one, [state(parts[0], { state: "running" }), output(2, "hello", { shard: 1 })]);
    await events.tell(job.id, two, [state(parts[1], { state: "running" })]);
    expect(await events.tell(job.id, { ...one, token: "stale" }, [state(parts[0], { state: "done" })])).toBe("lost");
    await bench.store.finish(one.id, one.token, over(parts[0], "done"));
    expect(await bench.store.finish(one.id, one.token, over(parts[0], "done"))).toBe("stored");
    expect(await toldOf(job)).toEqual([
      "stdout set up",
      "1 queued",
      "2 queued",
      "1 running",
      "stdout hello",
      "2 running",
      "1 done",
    ]);
    const [first] = await events.read(job.id, { attempt: 0, sequence: 0 }, 1);
    expect(first).toMatchObject({ attempt: 1, sequence: 1, source: { phase: "setup" } });
  });

  test("is told once, though it is sent again when a connection breaks before the reply", async () => {
    const { job, parts, holdings } = await begunBoth();
    await events.watch(job.id);
    for (const sequence of [1, 1, 2, 2]) {
      await events.tell(job.id, holdings[0], [state(parts[0], { state: "running", items: sequence }, sequence)]);
    }
    expect(await toldOf(job)).toEqual(["1 running", "1 running"]);
  });
});

describe("a part that is stopped because another one has a failure", () => {
  test("brings what it had done, and is canceled", async () => {
    const { job, parts } = await divided();
    const [first, second] = parts;
    if (first === undefined || second === undefined) throw new Error("no parts");
    const [one, two] = [await begun(first), await begun(second)];
    await shards.stopOthers(one, job.id);
    expect(await bench.store.isCancelRequested(two.id)).toBe(true);
    expect(await bench.store.finish(two.id, two.token, over(second, "canceled"))).toBe("stored");
    expect((await shards.standings(job.id, 2))[1]).toMatchObject({ state: "canceled", result: { worker: "w" } });
  });

  test("is done when it was faster, and brings nothing when its job is canceled, too", async () => {
    const { job, parts } = await divided();
    const [first, second] = parts;
    if (first === undefined || second === undefined) throw new Error("no parts");
    const [one, two] = [await begun(first), await begun(second)];
    await shards.stopOthers(one, job.id);
    await bench.store.finish(two.id, two.token, over(second, "done"));
    expect((await shards.standings(job.id, 2))[1]).toMatchObject({ state: "done", result: { worker: "w" } });
    await bench.store.cancel(job.id);
    await bench.store.finish(one.id, one.token, over(first, "canceled"));
    expect((await shards.standings(job.id, 2))[0]).toMatchObject({ state: "canceled", result: null });
  });
});

const partResult = { worker: "w", runs: [], items: 0, wallTimeMs: 0, endings: [], files: [] };

/** How an attempt at a part ends. */
function over(part: ShardPartRequest, state: "done" | "canceled"): Ending {
  const nothing = { content: "", encoding: "utf8", bytes: 0, truncated: false } as const;
  const result = { ...partResult, stdout: nothing, stderr: nothing };
  return { state: "part over", result, event: { ...eventOf(part), state } };
}

function output(sequence: number, text: string, source: OutputSource): NumberedEvent {
  return { attempt: 1, sequence, name: "stdout", offset: 0, bytes: Buffer.from(text), source };
}
