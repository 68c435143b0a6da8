/**
 * One attempt at a job, from the claim to its ending.
 *
 *   claim ──▶ perform, in a slot ┬─ done, failed for good ──▶ finish         ─▶ over
 *     │                          ├─ failed, may be retried ─▶ release        ─▶ retry
 *     │ canceled, finished,      ├─ stopped: canceled ──────▶ finish         ─▶ over
 *     ▼ gone                     ├─ stopped: drained ───────▶ release        ─▶ give back
 *   over                         ├─ stopped: lock lost ─────▶ (say nothing)  ─▶ let go
 *                                └─ divided ───────────────▶ suspend        ─▶ wait for parts
 *
 * The attempt's token is known to nobody else. `finish` and `release` are refused when another attempt has claimed the
 * job since, so an attempt that goes on although it lost the job does no harm.
 */
import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { imageNeedsOf } from "../shared/image-needs.ts";
import type { WorkerRequest } from "../shared/job-request.ts";
import type { ErrorCode } from "../shared/errors.ts";
import type { JobEvents } from "../shared/job-events.ts";
import type { JobSignals } from "../shared/job-signals.ts";
import type { Blobs } from "../shared/blobs/blobs.ts";
import type { Claim, Ending, JobStore } from "../shared/job-store.ts";
import type { Logger } from "../shared/log.ts";
import { REPORT_PATH } from "../shared/shard-request.ts";
import type { JobQueue } from "../shared/queue.ts";
import { jobOf, partId, type ShardPartRequest } from "../shared/shard-part.ts";
import { traceStage } from "../shared/trace.ts";
import { AttemptEvents } from "./attempt-events.ts";
import type { OutputSpool } from "./container/spec.ts";
import { insist } from "./insist.ts";
import { performJob } from "./jobs/perform.ts";
import type { JobContext, JobOutcome } from "./jobs/context.ts";
import type { Progress } from "./jobs/progress.ts";
import { storeLargeOutputs, storeOutputs } from "./large-outputs.ts";
import type { WorkerMetrics } from "./metrics.ts";
import { reportOutages } from "./outages.ts";
import type { SlotPool } from "./slots.ts";

/** What attempts are made with. */
export interface AttemptContext extends JobContext {
  readonly store: JobStore;
  /** Where parts of jobs are put. */
  readonly queue: JobQueue;
  /** Where large files of jobs go. */
  readonly blobs: Blobs;
  /** Where they are on the way there: a directory of this worker's, and what the files of one job may take. */
  readonly outputSpool: OutputSpool;
  /** News of jobs that shall be canceled. */
  readonly cancels: JobSignals;
  readonly events: JobEvents;
  /** News of jobs that somebody watches. */
  readonly watches: JobSignals;
  readonly slots: SlotPool;
  readonly metrics: WorkerMetrics;
  readonly logger: Logger;
}

type Claimed = Extract<Claim, { status: "claimed" }>;

/** Why an attempt is stopped before its end. */
export type StopReason = "canceled" | "drained" | "lock lost";

/** What BullMQ has to be told. */
export type Verdict = "over" | "retry" | "give back" | "let go" | "wait for parts";

/** Whether a worker is able to do jobs, as far as an attempt can tell. */
export type WorkersHealth = "good" | "bad" | "unknown";

/** Failures that say more about the worker than about the job. */
const WORKERS_FAULTS: ReadonlySet<ErrorCode> = new Set([
  "container_lost",
  "image_unavailable",
  "internal_error",
  "setup_failed",
]);

/** A running attempt, and the way to stop it. */
export class Attempt {
  readonly #id: string;
  readonly #context: AttemptContext;
  /** Whether a failure ends the job, instead of another attempt. */
  readonly #isLast: boolean;
  readonly #token = randomUUID();
  readonly #abort = new AbortController();
  readonly #watched = new AbortController();
  readonly #pulling = Promise.withResolvers<void>();
  #stopReason: StopReason | undefined;
  #health: WorkersHealth = "unknown";

  constructor(id: string, context: AttemptContext, options: { readonly isLast: boolean }) {
    this.#id = id;
    this.#context = context;
    this.#isLast = options.isLast;
  }

  /** What it has shown of the worker. */
  get health(): WorkersHealth {
    return this.#health;
  }

  /** Ends the container, if there is one. The first reason counts, but a lost lock is never overruled. */
  stop(reason: StopReason): void {
    if (this.#stopReason === undefined || reason === "lock lost") this.#stopReason = reason;
    this.#abort.abort();
  }

  /** Resolves when the job begins to wait for its image to be pulled, and has no slot. */
  get pulling(): Promise<void> {
    return this.#pulling.promise;
  }

  /** Makes the attempt. Waits, however long, for a Redis that is away. */
  async make(): Promise<Verdict> {
    const { store, cancels, watches, worker, metrics } = this.#context;
    using _cancels = cancels.watch(this.#id, () => void this.#stopIfCanceled());
    using _watches = watches.watch(jobOf(this.#id), () => void this.#tellIfWatched());
    if (this.#stopReason === "drained") return "give back";
    const claim = await insist(() => store.claim(this.#id, { worker, token: this.#token }));
    if (claim.status !== "claimed") return "over";
    traceStage("claimed");

    // Redis' clock may have been set back in between.
    const queuedMs = Math.max(0, Math.round((claim.startedAt - claim.createdAt) * 1000) / 1000);
    if (claim.phase === "whole") metrics.attemptStarted(claim.attempt, queuedMs);
    await using spool = new AsyncDisposableStack();
    if (claim.request.kind !== "run" || claim.request.outputs.length > 0) {
      spool.defer(() => rm(this.#outputSpool.directory, { recursive: true, force: true }));
    }
    if (claim.watched) this.#watched.abort();
    const events = this.#openEvents(claim);
    const outcome = await this.#perform(claim, queuedMs, events);
    // Before the end, which is the last that watchers are told. Who has lost the job is not believed anyway.
    if (this.#stopReason !== "lock lost") await events.close();
    return await this.#conclude(outcome, claim.request);
  }

  get #outputSpool(): OutputSpool {
    const { directory, bytesMax } = this.#context.outputSpool;
    return { directory: join(directory, this.#token), bytesMax };
  }

  #openEvents({ attempt, request: { kind } }: Claimed): AttemptEvents {
    const { events, logger } = this.#context;
    const holder = { id: this.#id, token: this.#token };
    // Of a job that is divided, its parts tell as well.
    const isShared = kind === "shard" || kind === "shard-part";
    return new AttemptEvents({
      append: (batch) =>
        isShared ? events.tell(jobOf(this.#id), holder, batch) : events.append(this.#id, holder, batch),
      attempt,
      wanted: this.#watched.signal,
      onFailure: reportOutages(logger, "events of a job"),
    });
  }

  async #perform({ request, attempt }: Claimed, queuedMs: number, progress: Progress): Promise<JobOutcome> {
    const onPullBegin = (): void => this.#pulling.resolve();
    const attempted = { job: this.#id, token: this.#token, attempt, queuedMs, outputSpool: this.#outputSpool };
    try {
      return await performJob(request, { ...attempted, progress, onPullBegin }, this.#context, this.#abort.signal);
    } catch (error) {
      this.#context.logger.error({ err: error, job: this.#id }, "an attempt failed in an unexpected way");
      const message = "the worker failed in an unexpected way, which is in its log under the job's id";
      return { kind: "failed", error: { code: "internal_error", message }, retry: "worthwhile" };
    }
  }

  async #conclude(outcome: JobOutcome, request: WorkerRequest): Promise<Verdict> {
    const { blobs, store } = this.#context;
    if (outcome.kind !== "failed" && outcome.kind !== "canceled") this.#health = "good";
    switch (outcome.kind) {
      case "done":
        return await this.#finish({
          state: "done",
          ...(await storeLargeOutputs(outcome, blobs, store.holderOf(this.#id))),
        });
      case "judged":
        return await this.#finish({ state: "done", result: outcome.result, outputs: [] });
      case "divided":
        return await this.#waitForParts(outcome.parts, request);
      case "part over": {
        // It was not for the job's sake that it was stopped: it goes on elsewhere.
        if (outcome.event.state === "canceled" && this.#stopReason !== "canceled") return await this.#concludeStopped();
        const holder = this.#context.shards.filesHolder(jobOf(this.#id));
        const { outputs, errors } = await storeOutputs(outcome.outputs, blobs, holder, -1);
        const { missing, ...result } = outcome.result;
        const stored = outputs.flatMap((file) => ("blob" in file ? [file] : []));
        const unstored = [...errors].map(([path, error]) => ({ path, error }));
        const files = [...stored, ...missing, ...unstored];
        return await this.#finish({ state: "part over", result: { ...result, files }, event: outcome.event });
      }
      case "merged": {
        const holder = store.holderOf(this.#id);
        const { outputs, errors } = await storeOutputs(outcome.outputs, blobs, holder);
        const error = errors.get(REPORT_PATH);
        if (error !== undefined) this.#context.logger.warn({ job: this.#id, error }, "a report could not be stored");
        // What the shards have left is still there: the next attempt merges it again.
        if (error !== undefined && !this.#isLast) return await this.#release("retry");
        const result = error === undefined ? outcome.result : { ...outcome.result, report: { error } };
        const stored = outputs.flatMap((file) => ("blob" in file ? [file.blob] : []));
        await insist(() => blobs.touch(stored, holder));
        return await this.#finish({ state: "done", result, outputs });
      }
      case "failed": {
        const { error, retry } = outcome;
        if (retry === "worthwhile" && WORKERS_FAULTS.has(error.code)) this.#health = "bad";
        const goesOn = retry === "worthwhile" && !this.#isLast;
        this.#context.logger.warn({ job: this.#id, error, goesOn }, "an attempt failed");
        return goesOn ? await this.#release("retry") : await this.#finish({ state: "failed", error });
      }
      case "canceled":
        return await this.#concludeStopped();
      default:
        return outcome satisfies never;
    }
  }

  async #concludeStopped(): Promise<Verdict> {
    switch (this.#stopReason) {
      case "canceled":
        return await this.#finish({ state: "canceled" });
      case "drained":
        return await this.#release("give back");
      case "lock lost":
        return "let go";
      case undefined:
        throw new Error("a container was canceled and nobody had asked for it");
      default:
        return this.#stopReason satisfies never;
    }
  }

  /** Hands parts over to the queue, also those that it has already: who did so before may have died. */
  async #waitForParts(parts: readonly ShardPartRequest[], request: WorkerRequest): Promise<Verdict> {
    const { store, queue } = this.#context;
    const needs = request.kind === "shard-part" ? [] : imageNeedsOf(request);
    for (const { job, shard, priority } of parts) {
      const id = partId(job, shard);
      await insist(() => queue.addPart(id, job, priority, needs));
      // It took so long that the record has expired: another attempt writes it anew.
      if ((await insist(() => store.confirm(id))) === "expired") return await this.#release("retry");
    }
    const suspended = await insist(() => store.suspend(this.#id, this.#token));
    return suspended === "suspended" ? "wait for parts" : "over";
  }

  async #finish(ending: Ending): Promise<Verdict> {
    const stored = await insist(() => this.#context.store.finish(this.#id, this.#token, ending));
    traceStage("stored");
    if (stored === "lost") this.#context.logger.warn({ job: this.#id }, "another attempt has the job: not reported");
    return "over";
  }

  async #release(verdict: "retry" | "give back"): Promise<Verdict> {
    const released = await insist(() => this.#context.store.release(this.#id, this.#token));
    return released === "released" ? verdict : "over";
  }

  async #stopIfCanceled(): Promise<void> {
    // When it cannot be found out now, the connection's return brings this call again.
    const requested = await this.#context.store.isCancelRequested(this.#id).catch(() => false);
    if (requested) this.stop("canceled");
  }

  async #tellIfWatched(): Promise<void> {
    const isWatched = await this.#context.events.isWatched(jobOf(this.#id)).catch(() => false);
    if (isWatched) this.#watched.abort();
  }
}
