/**
 * The records of jobs: who may change what, and when.
 *
 *            accept                claim                 finish
 *   (nothing) ────▶ queued ─────────────▶ running ─────────────▶ done | failed | canceled ──▶ expired
 *                     ▲ │                  │  │ fail, cancel
 *                     │ └── cancel, fail   │  └──────────▶
 *                     └────── release ─────┘
 *
 * BullMQ decides which worker runs a job next and knows nothing but its id. What a job is and what became of it
 * stands here, and every change is one script (`shared/lua/`). An attempt is known by its token: only the attempt
 * that holds a job can end it, so that a job which was run twice is reported once.
 */
import { createHash, randomUUID } from "node:crypto";
import type { Redis } from "ioredis";
import type { Blobs, Holder } from "./blobs/blobs.ts";
import type { Digest } from "./digest.ts";
import { LongshoreError } from "./errors.ts";
import type { Job, JobError } from "./job.ts";
import { newJob, readJob, viewFields } from "./job-record.ts";
import type { JobRequest, WorkerRequest } from "./job-request.ts";
import type { JobResult } from "./job-result.ts";
import type { JudgeResult } from "./judge-result.ts";
import { createKeys, type Keys } from "./keys.ts";
import { Places } from "./places.ts";
import { withRedis } from "./redis.ts";
import { defineScripts, type ScriptCaller } from "./scripts.ts";
import type { ShardPartResult } from "./shard-part.ts";
import type { ShardEvent, ShardResult } from "./shard-result.ts";

/** Far longer than it takes to add a job to BullMQ, and short enough to be counted in the depth for nothing. */
const DEFAULT_CONFIRM_MS = 30_000;

/**
 * Results from this size on, in bytes, are read few at once: Redis has a copy of each in memory until it is taken, and so
 * many that a client asks for at once would leave it none, and others no answer for seconds.
 */
const LARGE_BYTES = 1024 * 1024;
const LARGE_READS_MAX = 4;

export interface JobStoreOptions {
  /** A producer's or a consumer's connection; the store does not close it. */
  readonly redis: Redis;
  readonly queue: string;
  readonly resultTtlSeconds: number;
  /** How long the record of a job is kept that is not confirmed, in milliseconds; 30 s unless given. */
  readonly confirmMs?: number;
  /** Where the files of jobs are read that are blobs. */
  readonly blobs?: Blobs;
}

/** Makes a repeated request return the first one's job. */
export interface Idempotency {
  /** What the client sent as Idempotency-Key. */
  readonly key: string;
  /** Whose key it is: clients do not see each other's. */
  readonly owner: string;
  /** What must be the same for the request to be a repetition. */
  readonly body: unknown;
}

/** How a request is accepted. */
export interface AcceptOptions {
  /** What the job shall be called; made up unless given. */
  readonly id?: string;
  readonly idempotency?: Idempotency | undefined;
  /** Who posts it is told what happens in it: from the first event, however soon it begins. */
  readonly audience?: "watching" | undefined;
}

/** What became of a request; `pending`: BullMQ may not have the job yet. */
export type Acceptance =
  | { readonly status: "accepted"; readonly job: Job; readonly delivery: "pending" }
  | { readonly status: "repeated"; readonly id: string; readonly delivery: "pending" | "confirmed" };

/** A job in the hands of an attempt, or why there is nothing to do. Times are Redis's clock, in milliseconds. */
export type Claim =
  | {
      readonly status: "claimed";
      readonly request: WorkerRequest;
      readonly attempt: number;
      readonly createdAt: number;
      readonly startedAt: number;
      /** Whether somebody wants to know what happens in it. */
      readonly watched: boolean;
      /** `divided`: the attempt goes on that has divided it into parts. */
      readonly phase: "whole" | "divided";
    }
  | { readonly status: "canceled" | "finished" | "gone" };

/** How an attempt ended. */
export type Ending =
  | {
      readonly state: "done";
      readonly result: JobResult | JudgeResult | ShardResult;
      readonly outputs: readonly OutputContent[];
    }
  | { readonly state: "failed"; readonly error: JobError }
  | { readonly state: "canceled" }
  /** A part has done what it had to, or was stopped; `event` says which, also to those who watch its job. */
  | { readonly state: "part over"; readonly result: ShardPartResult; readonly event: ShardEvent };

/** A file that an attempt brings back: as it is, or the blob that it has become (`shared/blobs/`). */
export type OutputContent =
  | { readonly path: string; readonly content: Uint8Array }
  | { readonly path: string; readonly blob: Digest; readonly bytes: number };

/** A file that a job returned. */
export interface StoredOutput {
  readonly bytes: number;
  /** Reads it piece by piece; throws when it expires on the way. */
  read(): AsyncIterable<Buffer>;
}

/** For how much longer than a job those of its files are held that are blobs: they are stored before it is finished. */
const OUTPUT_GRACE_SECONDS = 60;

/**
 * A file is written and read in pieces of this size: no download holds a large one in memory, and no connection goes
 * without a reply for as long as a large one takes.
 */
const CHUNK_BYTES = 256 * 1024;

export class JobStore {
  readonly keys: Keys;
  readonly #redis: Redis;
  readonly #call: ScriptCaller;
  readonly #ttlSeconds: number;
  readonly #confirmMs: number;
  readonly #blobs: JobStoreOptions["blobs"];
  readonly #largeReads = new Places(LARGE_READS_MAX);

  constructor(options: JobStoreOptions) {
    this.#redis = options.redis;
    this.#call = defineScripts(options.redis);
    this.#ttlSeconds = options.resultTtlSeconds;
    this.#confirmMs = options.confirmMs ?? DEFAULT_CONFIRM_MS;
    this.#blobs = options.blobs;
    this.keys = createKeys(options.queue);
  }

  /**
   * Writes the record of a new job. It lasts only if {@link confirm} follows.
   * Throws `queue_full` with a time to wait, `idempotency_conflict`, `redis_unavailable`.
   */
  async accept(
    request: JobRequest,
    queueLimit: number,
    { id = randomUUID(), idempotency, audience }: AcceptOptions = {},
  ): Promise<Acceptance> {
    const job = this.keys.job(id);
    const idempotencyKey = idempotency === undefined ? job : this.#idempotencyKey(idempotency);
    const reply = await this.#script(
      "accept",
      job,
      this.keys.queued,
      this.keys.pending,
      idempotencyKey,
      id,
      request.kind,
      JSON.stringify(request),
      idempotency === undefined ? "" : digest(JSON.stringify(idempotency.body)),
      queueLimit,
      this.#confirmMs,
      this.keys.job(""),
      audience === "watching" ? "watched" : "",
    );
    const [status, acceptedId = "", detail = ""] = reply as string[];
    switch (status) {
      case "accepted":
        return { status, job: newJob(acceptedId, request.kind, detail), delivery: "pending" };
      case "repeated":
        return { status, id: acceptedId, delivery: detail === "pending" ? "pending" : "confirmed" };
      case "full":
        throw new LongshoreError("queue_full", { retryAfterSeconds: 1 });
      case "conflict":
        throw new LongshoreError("idempotency_conflict");
      default:
        throw new Error(`the script accept answered ${String(status)}`);
    }
  }

  /**
   * Whether a request repeats one whose job is there: then {@link accept} answers with that job, unless it expires right
   * now, or says that the request is another one.
   */
  async isRepetition(idempotency: Idempotency): Promise<boolean> {
    const first = await withRedis(() => this.#redis.hget(this.#idempotencyKey(idempotency), "id"));
    return first !== null && (await withRedis(() => this.#redis.exists(this.keys.job(first)))) === 1;
  }

  #idempotencyKey({ owner, key }: Idempotency): string {
    return this.keys.idempotency(digest(owner, key));
  }

  /** Keeps a job that BullMQ has. `expired`: it took too long, nothing was accepted. */
  async confirm(id: string): Promise<"confirmed" | "expired"> {
    const { queued, pending } = this.keys;
    return (await this.#script("confirm", this.keys.job(id), queued, pending, id)) === 1 ? "confirmed" : "expired";
  }

  /** Forgets a job that BullMQ did not take. */
  async withdraw(id: string): Promise<void> {
    await this.#script("withdraw", this.keys.job(id), this.keys.queued, this.keys.pending, id);
  }

  /**
   * Takes a job for an attempt.
   * @param token tells this attempt from every other one of any job; BullMQ's lock token does.
   */
  async claim(id: string, attempt: { readonly worker: string; readonly token: string }): Promise<Claim> {
    const { finishedChannel, newsChannel } = this.keys;
    const reply = await this.#change(
      "claim",
      id,
      attempt.worker,
      attempt.token,
      this.#ttlSeconds,
      finishedChannel,
      newsChannel,
    );
    const [status, request, number, createdAt, startedAt, watched, phase] = reply as string[];
    switch (status) {
      case "claimed":
        return {
          status,
          request: JSON.parse(request ?? "") as WorkerRequest,
          attempt: Number(number),
          createdAt: Number(createdAt),
          startedAt: Number(startedAt),
          watched: watched === "watched",
          phase: phase === "divided" ? "divided" : "whole",
        };
      case "canceled":
      case "finished":
      case "gone":
        return { status };
      default:
        throw new Error(`the script claim answered ${String(status)}`);
    }
  }

  /**
   * Stores how an attempt ended, and its files, unless another attempt holds the job by now.
   * May be repeated when it is not known whether it worked.
   */
  async finish(id: string, token: string, ending: Ending): Promise<"stored" | "lost"> {
    if (ending.state === "done") await this.#storeOutputs(id, token, ending.outputs);
    const { finishedChannel, newsChannel } = this.keys;
    const reply = await this.#change(
      "finish",
      id,
      token,
      this.#ttlSeconds,
      finishedChannel,
      newsChannel,
      ...endingArguments(ending),
    );
    return reply === 1 ? "stored" : "lost";
  }

  /** Ends a job that nobody will run any more, whoever held it; `unchanged` when it was finished. */
  async fail(id: string, error: JobError): Promise<"failed" | "unchanged"> {
    const reply = await this.#change("fail", id, this.#ttlSeconds, this.keys.finishedChannel, JSON.stringify(error));
    return reply === 1 ? "failed" : "unchanged";
  }

  /** Gives a job back that this attempt did not end. `canceled`: it is finished thereby, do not retry it. */
  async release(id: string, token: string): Promise<"released" | "canceled" | "lost"> {
    const { finishedChannel, newsChannel } = this.keys;
    const reply = await this.#change("release", id, token, this.#ttlSeconds, finishedChannel, newsChannel);
    return reply as "released" | "canceled" | "lost";
  }

  /** Leaves a job to its parts, until they are over. `canceled`: it is finished thereby. */
  async suspend(id: string, token: string): Promise<"suspended" | "canceled" | "lost"> {
    const reply = await this.#change("suspend", id, token, this.#ttlSeconds, this.keys.finishedChannel);
    return reply as "suspended" | "canceled" | "lost";
  }

  /** Cancels a job. `requested`: the worker that runs it has been told. */
  async cancel(id: string): Promise<"canceled" | "requested" | "finished" | "gone"> {
    const { finishedChannel, cancelChannel } = this.keys;
    const reply = await this.#change("cancel", id, this.#ttlSeconds, finishedChannel, cancelChannel);
    return reply as "canceled" | "requested" | "finished" | "gone";
  }

  /** Who holds the blobs that a job's large files have become: the job, for as long as it can be shown. */
  holderOf(id: string): Holder {
    return { name: `job:${id}`, ttlSeconds: this.#ttlSeconds + OUTPUT_GRACE_SECONDS, quotaBytes: undefined };
  }

  /** Whether a running job shall be canceled; for who may have missed the message. */
  async isCancelRequested(id: string): Promise<boolean> {
    return (await withRedis(() => this.#redis.hexists(this.keys.job(id), "cancelRequested"))) === 1;
  }

  /** The job, or nothing when there never was one or it has expired. */
  async get(id: string): Promise<Job | undefined> {
    const key = this.keys.job(id);
    const bytes = await withRedis(() => this.#redis.hstrlen(key, "result"));
    using _place = bytes < LARGE_BYTES ? undefined : await this.#largeReads.enter();
    return readJob(await withRedis(() => this.#redis.hmget(key, ...viewFields)));
  }

  /** A file that a finished job returned. Throws `job_not_found` or `output_not_found`. */
  async output(id: string, path: string): Promise<StoredOutput> {
    const [state, token] = await withRedis(() => this.#redis.hmget(this.keys.job(id), "state", "token"));
    if (!state) throw new LongshoreError("job_not_found");
    if (state !== "done" || !token) throw new LongshoreError("output_not_found");
    const [key, blobKey] = [this.keys.output(id, token, path), this.keys.outputBlob(id, token, path)];
    // All in one step: an empty file is not a missing one
    const replies = await withRedis(() => this.#redis.multi().exists(key).strlen(key).get(blobKey).exec());
    const [exists, bytes, blob] = (replies ?? []).map(([, reply]) => reply);
    if (typeof blob === "string") return await this.#openOutputBlob(blob as Digest);
    if (exists !== 1 || typeof bytes !== "number") throw new LongshoreError("output_not_found");
    return { bytes, read: () => this.#readOutput(key, bytes) };
  }

  async #openOutputBlob(digest: Digest): Promise<StoredOutput> {
    const blobs = this.#blobs;
    if (blobs === undefined) throw new Error("this store was opened without a place for blobs");
    const bytes = await blobs.sizeOf(digest);
    if (bytes === undefined) throw new LongshoreError("output_not_found");
    return { bytes, read: () => blobs.read(digest) };
  }

  async *#readOutput(key: string, bytes: number): AsyncGenerator<Buffer> {
    for (let offset = 0; offset < bytes; offset += CHUNK_BYTES) {
      const end = Math.min(offset + CHUNK_BYTES, bytes) - 1;
      const chunk = await withRedis(() => this.#redis.getrangeBuffer(key, offset, end));
      if (chunk.length !== end - offset + 1) throw new LongshoreError("output_not_found");
      yield chunk;
    }
  }

  /**
   * Files are written before the script that makes them count: it would have to hold all of them at once. Their
   * keys name the attempt, so that those of an attempt that turns out to be lost are never seen, and expire.
   */
  async #storeOutputs(id: string, token: string, outputs: readonly OutputContent[]): Promise<void> {
    for (const output of outputs) {
      if ("blob" in output) {
        const key = this.keys.outputBlob(id, token, output.path);
        await withRedis(() => this.#redis.set(key, output.blob, "EX", this.#ttlSeconds));
      } else {
        await this.#storeContent(this.keys.output(id, token, output.path), output.content);
      }
    }
  }

  async #storeContent(key: string, content: Uint8Array): Promise<void> {
    const value = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
    await withRedis(() => this.#redis.set(key, "", "EX", this.#ttlSeconds));
    // By offset, not APPEND: a command that is sent again after a broken connection changes nothing.
    for (let offset = 0; offset < value.byteLength; offset += CHUNK_BYTES) {
      const piece = value.subarray(offset, offset + CHUNK_BYTES);
      await withRedis(() => this.#redis.setrange(key, offset, piece));
    }
  }

  /** A script that changes the state of one job: they all take the same keys. */
  async #change(name: Parameters<ScriptCaller>[0], id: string, ...parameters: (string | number)[]): Promise<unknown> {
    const { queued, running, pending } = this.keys;
    return await this.#script(name, this.keys.job(id), queued, running, pending, id, ...parameters);
  }

  async #script(...call: Parameters<ScriptCaller>): Promise<unknown> {
    return await withRedis(() => this.#call(...call));
  }
}

function endingArguments(ending: Ending): string[] {
  switch (ending.state) {
    case "done":
      return [ending.state, "result", JSON.stringify(ending.result)];
    case "failed":
      return [ending.state, "error", JSON.stringify(ending.error)];
    case "canceled":
      return [ending.state];
    case "part over": {
      const { result, event } = ending;
      return [event.state, "result", JSON.stringify(result), "event", JSON.stringify(event)];
    }
    default:
      return ending satisfies never;
  }
}

function digest(...parts: readonly string[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(`${Buffer.byteLength(part)}:`).update(part);
  return hash.digest("hex");
}
