/**
 * The shared state of jobs that are divided: their parts, the items that are left, and what is remembered for the next
 * time.
 *
 *   attempt at the job ── fanOut ──▶ records of the parts, plan, batches ──▶ … ──▶ standings ──▶ merge
 *   attempt at a part ─── begin ──▶ takeBatch … ──▶ result in its own record (`job-store.ts`)
 *
 * Every change is made by an attempt, and refused when another one has the job or the part by now.
 */
import { createHash } from "node:crypto";
import type { Redis } from "ioredis";
import type { Holder } from "./blobs/blobs.ts";
import { type Digest, hexOf } from "./digest.ts";
import { createKeys, type Keys } from "./keys.ts";
import { withRedis } from "./redis.ts";
import { defineScripts, type ScriptCaller } from "./scripts.ts";
import {
  partId,
  type PartStanding,
  type SharedLayer,
  type ShardPartRequest,
  type ShardPartResult,
  type ShardPlan,
} from "./shard-part.ts";
import type { ShardEvent } from "./shard-result.ts";
import type { ShardRequest } from "./shard-request.ts";

export interface ShardStoreOptions {
  /** A consumer's connection; the store does not close it. */
  readonly redis: Redis;
  readonly queue: string;
  readonly resultTtlSeconds: number;
  /** For how long layers of set-ups are kept since they were used last. */
  readonly layerTtlSeconds: number;
  /** Repeats a call that Redis could not answer. */
  readonly insist: <Result>(call: () => Promise<Result>) => Promise<Result>;
}

/** An attempt at a job or at a part. */
export interface Holding {
  /** Id of the job, or of the part. */
  readonly id: string;
  /** By which the attempt holds it. */
  readonly token: string;
}

/** For how long it is remembered what items take, in seconds: a month. */
const DURATIONS_TTL_SECONDS = 30 * 24 * 3600;

/** Items of one suite that are remembered, and suites of one client: nobody fills Redis with them. */
const DURATIONS_MAX = 100_000;
const SUITES_MAX = 50;

/** What the last time counts against all those before: half. */
const NEWEST_SHARE = 0.5;

/** As long as a worker may take to hand parts over to the queue. */
const CONFIRM_MS = 60_000;

/** For how long the files of a part are kept at least while others of its job run or wait, in seconds: a day. */
const PARTS_SECONDS = 24 * 3600;

const partFields = ["state", "attempt", "createdAt", "finishedAt", "worker", "result", "error"] as const;

/** Fields that one command sets at most. */
const FIELDS_AT_ONCE = 5000;

export class ShardStore {
  readonly keys: Keys;
  readonly #options: ShardStoreOptions;
  readonly #redis: Redis;
  readonly #scripts: ScriptCaller;

  constructor(options: ShardStoreOptions) {
    this.#options = options;
    this.#redis = options.redis;
    this.#scripts = defineScripts(options.redis);
    this.keys = createKeys(options.queue);
  }

  /** How a job has been divided; nothing when it is not, or is over. */
  async plan(job: string): Promise<ShardPlan | undefined> {
    const plan = await this.#insist(() => this.#redis.hget(this.keys.job(job), "plan"));
    return plan === null ? undefined : (JSON.parse(plan) as ShardPlan);
  }

  /** What a job that is divided was asked for; nothing when it is over. */
  async request(job: string): Promise<ShardRequest | undefined> {
    const request = await this.#insist(() => this.#redis.hget(this.keys.job(job), "request"));
    return request === null ? undefined : (JSON.parse(request) as ShardRequest);
  }

  /** Writes the records of a job's parts, those that are not there. They last only if they are confirmed. */
  async fanOut(
    { id, token }: Holding,
    plan: ShardPlan,
    parts: readonly { readonly request: ShardPartRequest; readonly event: ShardEvent }[],
  ): Promise<"divided" | "lost"> {
    const { cancelChannel, newsChannel, blobHolds } = this.keys;
    const { name: filesHolder } = this.filesHolder(id);
    const reply = await this.#call(
      "fan-out",
      this.keys.job(id),
      this.keys.jobEvents(id),
      id,
      token,
      cancelChannel,
      newsChannel,
      filesHolder,
      blobHolds,
      this.keys.blobsHeldBy(filesHolder),
      CONFIRM_MS,
      JSON.stringify(plan),
      parts.length,
      ...parts.map(({ request }) => JSON.stringify(request)),
      ...parts.map(({ event }) => JSON.stringify(event)),
      ...plan.batches.map((batch) => JSON.stringify(batch)),
    );
    return reply === 1 ? "divided" : "lost";
  }

  /**
   * Who holds the files of a job's parts: the job, since a part is nobody's to be asked for. It is not known when the job
   * will be over; when it is, they are held for as long as its record is kept.
   */
  filesHolder(job: string): Holder {
    const ttlSeconds = this.#options.resultTtlSeconds + PARTS_SECONDS;
    return { name: `job:${job}`, ttlSeconds, quotaBytes: undefined };
  }

  /** How the parts of a job stand, in their order. */
  async standings(job: string, count: number): Promise<PartStanding[]> {
    const ids = Array.from({ length: count }, (_, index) => partId(job, index + 1));
    return await Promise.all(
      ids.map(async (id) =>
        readStanding(await this.#insist(() => this.#redis.hmget(this.keys.job(id), ...partFields))),
      ),
    );
  }

  /** Gives back what an earlier attempt at a part had taken. */
  async begin({ id, token }: Holding, { job, shard }: ShardPartRequest): Promise<"begun" | "lost"> {
    const reply = await this.#call("begin-part", this.keys.job(id), this.keys.job(job), shard, token);
    return reply === 1 ? "begun" : "lost";
  }

  /** The next items of a divided job. @param turn how many times this attempt has taken some before */
  async takeBatch(
    { id, token }: Holding,
    { job, shard }: ShardPartRequest,
    turn: number,
  ): Promise<readonly string[] | "none" | "lost"> {
    const reply = await this.#call("take-batch", this.keys.job(id), this.keys.job(job), shard, token, turn);
    const [status, items] = reply as [string, string?];
    if (status === "taken" && items !== undefined) return JSON.parse(items) as string[];
    return status === "none" ? "none" : "lost";
  }

  /** Stops all parts of a job but the one that is held. */
  async stopOthers({ id, token }: Holding, job: string): Promise<void> {
    const { queued, running, pending, finishedChannel } = this.keys;
    await this.#call(
      "stop-parts",
      this.keys.job(id),
      this.keys.job(job),
      queued,
      running,
      pending,
      job,
      id,
      token,
      this.#options.resultTtlSeconds,
      finishedChannel,
    );
  }

  /** Who holds the blob of a set-up's layer: whoever makes the same. */
  layerHolder(key: Digest): Holder {
    return { name: `layer:${hexOf(key)}`, ttlSeconds: this.#options.layerTtlSeconds, quotaBytes: undefined };
  }

  /** A layer that was shared before; its blob may have expired since. */
  async sharedLayer(key: Digest): Promise<SharedLayer | undefined> {
    const layer = await this.#insist(() => this.#redis.get(this.keys.sharedLayer(hexOf(key))));
    return layer === null ? undefined : (JSON.parse(layer) as SharedLayer);
  }

  async share(layer: SharedLayer): Promise<void> {
    const key = this.keys.sharedLayer(hexOf(layer.key));
    await this.#insist(() => this.#redis.set(key, JSON.stringify(layer), "EX", this.#options.layerTtlSeconds));
  }

  /** What is remembered of a suite, of these items. */
  async times({ owner, suite }: SuiteName, items: readonly string[]): Promise<SuiteTimes> {
    const itemsMs = new Map<string, number>();
    if (suite === undefined) return { itemsMs, startMs: undefined };
    const key = this.keys.durations(digest(owner), digest(suite));
    for (const some of batchesOf(items)) {
      const values = await this.#insist(() => this.#redis.hmget(key, ...some.map(fieldOf)));
      for (const [index, item] of some.entries()) {
        const value = values[index];
        if (value) itemsMs.set(item, Number(value));
      }
    }
    const start = await this.#insist(() => this.#redis.hget(key, START_FIELD));
    return { itemsMs, startMs: start === null ? undefined : Number(start) };
  }

  /** Remembers what everything took this time, as a part of moving averages. */
  async remember({ owner, suite }: SuiteName, { itemsMs, startMs }: SuiteTimes): Promise<void> {
    if (suite === undefined || itemsMs.size === 0) return;
    const [client, name] = [digest(owner), digest(suite)];
    const key = this.keys.durations(client, name);
    await this.#forgetSuites(client, name);
    const before = await this.times({ owner, suite }, [...itemsMs.keys()]);
    if ((await this.#insist(() => this.#redis.hlen(key))) > DURATIONS_MAX)
      await this.#insist(() => this.#redis.del(key));
    for (const some of batchesOf([...itemsMs])) {
      const fields = some.flatMap(([item, ms]) => [fieldOf(item), average(before.itemsMs.get(item), ms)]);
      await this.#insist(() => this.#redis.hset(key, ...fields));
    }
    if (startMs !== undefined) {
      await this.#insist(() => this.#redis.hset(key, START_FIELD, average(before.startMs, startMs)));
    }
    await this.#insist(() => this.#redis.expire(key, DURATIONS_TTL_SECONDS));
  }

  /** Forgets those of a client's suites that were not run for longest, when there is one more than may be. */
  async #forgetSuites(client: string, suite: string): Promise<void> {
    const suites = this.keys.suites(client);
    await this.#insist(() => this.#redis.zadd(suites, Date.now(), suite));
    await this.#insist(() => this.#redis.expire(suites, DURATIONS_TTL_SECONDS));
    const oldest = await this.#insist(() => this.#redis.zrange(suites, "0", String(-SUITES_MAX - 1)));
    if (oldest.length === 0) return;
    await this.#insist(() => this.#redis.del(oldest.map((name) => this.keys.durations(client, name))));
    await this.#insist(() => this.#redis.zrem(suites, oldest));
  }

  async #call(...call: Parameters<ScriptCaller>): Promise<unknown> {
    return await this.#insist(() => this.#scripts(...call));
  }

  async #insist<Result>(call: () => Promise<Result>): Promise<Result> {
    return await this.#options.insist(() => withRedis(call));
  }
}

/** A suite, of whoever has posted it. */
export type SuiteName = Pick<ShardRequest, "owner" | "suite">;

function readStanding(values: readonly (string | null)[]): PartStanding {
  const [state, attempt, createdAt, finishedAt, worker, result, error] = values;
  if (!state) return { state: "missing" };
  return {
    state: state as Exclude<PartStanding["state"], "missing">,
    attempt: Number(attempt ?? 0),
    createdAt: Number(createdAt),
    finishedAt: finishedAt ? Number(finishedAt) : null,
    worker: worker || null,
    result: result ? (JSON.parse(result) as ShardPartResult) : null,
    error: error ? JSON.parse(error) : null,
  };
}

/** What is remembered of a suite, in milliseconds. */
export interface SuiteTimes {
  /** What the tests of each item took, as far as it is known. */
  readonly itemsMs: ReadonlyMap<string, number>;
  /** What a command takes besides its tests; undefined where nobody knows. */
  readonly startMs: number | undefined;
}

/** Under which it is remembered what a command takes to start; no item has it. */
const START_FIELD = "start";

function average(before: number | undefined, nowMs: number): string {
  return ((before ?? nowMs) * (1 - NEWEST_SHARE) + nowMs * NEWEST_SHARE).toFixed(3);
}

/** Under which an item is remembered: it may be long. */
function fieldOf(item: string): string {
  return createHash("sha256").update(item).digest("base64url").slice(0, 16);
}

function* batchesOf<Value>(values: readonly Value[]): Generator<readonly Value[], void, void> {
  for (let begin = 0; begin < values.length; begin += FIELDS_AT_ONCE) yield values.slice(begin, begin + FIELDS_AT_ONCE);
}

function digest(...parts: readonly string[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}
