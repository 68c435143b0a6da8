/**
 * How a job gets into the queue, and out of it again.
 *
 *   accept (record, expires in 30 s) ──▶ BullMQ has its id ──▶ confirm (record stays) ──▶ 202
 *
 * Wherever the API dies on this way, the client has no answer and nothing half done remains: a record that
 * was not confirmed expires and does not count in the depth for longer than that; an id in BullMQ whose record
 * is gone is dropped by the worker that takes it. After a 202 there is always both, since Redis applies and
 * writes down the three steps in their order.
 *
 * For that order nobody has to wait in between: the three are sent together, which is one way to Redis and back instead
 * of three, and saves a tenth of the CPU time of API and Redis where jobs come one by one. Where the first step may well
 * refuse, because the request repeats another one or the queue has been full a moment ago, each waits for the one before it.
 */
import { randomUUID } from "node:crypto";
import { LongshoreError } from "./errors.ts";
import { imageNeedsOf } from "./image-needs.ts";
import type { Job } from "./job.ts";
import type { JobRequest } from "./job-request.ts";
import type { AcceptOptions, JobStore } from "./job-store.ts";
import type { JobQueue } from "./queue.ts";
import { traceStage } from "./trace.ts";

export interface Submission {
  readonly job: Job;
  /** `repeated`: the job of an earlier request with the same Idempotency-Key. */
  readonly status: "accepted" | "repeated";
}

/** For how long a queue that was full is taken for full, in milliseconds: as long as clients are told to wait. */
const FULL_MS = 1000;

/** Accepts jobs, of whatever kind. */
export class Submitter {
  readonly #store: JobStore;
  readonly #queue: JobQueue;
  readonly #queueLimit: number;
  #fullAt = Number.NEGATIVE_INFINITY;

  /** @param queueLimit most jobs that may wait at once */
  constructor(store: JobStore, queue: JobQueue, queueLimit: number) {
    this.#store = store;
    this.#queue = queue;
    this.#queueLimit = queueLimit;
  }

  /** Accepts a job. Throws `queue_full`, `idempotency_conflict`, `redis_unavailable`: nothing was accepted then. */
  async submit(request: JobRequest, options: AcceptOptions = {}): Promise<Submission> {
    try {
      const mayBeRefused = options.idempotency !== undefined || performance.now() - this.#fullAt < FULL_MS;
      const submission = mayBeRefused
        ? await this.#submitStepByStep(request, options)
        : await this.#submitAtOnce(request, options);
      traceStage("accepted");
      return submission;
    } catch (error) {
      if (error instanceof LongshoreError && error.code === "queue_full") this.#fullAt = performance.now();
      throw error;
    }
  }

  async #submitAtOnce(request: JobRequest, { id = randomUUID(), audience }: AcceptOptions): Promise<Submission> {
    const inlet = await this.#queue.open();
    const [accepted, added, confirmed] = await Promise.allSettled([
      this.#store.accept(request, this.#queueLimit, { id, audience }),
      inlet.add(id, request, imageNeedsOf(request)),
      this.#store.confirm(id),
    ]);
    if (accepted.status === "rejected") {
      // Only saves a worker the trouble: it would find no record.
      if (added.status === "fulfilled") this.#queue.remove(id).catch(() => undefined);
      throw accepted.reason;
    }
    if (added.status === "rejected") {
      // Usually Redis is away and this fails as well. What is there then without the other is found in time: a record
      // that is not confirmed expires, one that is confirmed is one that everybody has lost (reconcile.ts).
      await this.#store.withdraw(id).catch(() => undefined);
      throw added.reason;
    }
    if (confirmed.status === "rejected") throw confirmed.reason;
    const { value: acceptance } = accepted;
    if (confirmed.value === "expired" || acceptance.status === "repeated")
      throw new LongshoreError("redis_unavailable");
    return acceptance;
  }

  async #submitStepByStep(request: JobRequest, options: AcceptOptions): Promise<Submission> {
    const acceptance = await this.#store.accept(request, this.#queueLimit, options);
    const acceptedId = acceptance.status === "accepted" ? acceptance.job.id : acceptance.id;
    // A repetition delivers too: the first request may be about to fail, and this one will say 202.
    if (acceptance.delivery === "pending") await this.#deliver(acceptedId, request);
    if (acceptance.status === "accepted") return acceptance;
    const job = await this.#store.get(acceptedId);
    if (job === undefined) throw new LongshoreError("redis_unavailable");
    return { status: acceptance.status, job };
  }

  async #deliver(id: string, request: JobRequest): Promise<void> {
    try {
      await this.#queue.add(id, request, imageNeedsOf(request));
    } catch (error) {
      // Usually Redis is away and this fails as well; then the record expires by itself.
      await this.#store.withdraw(id).catch(() => undefined);
      throw error;
    }
    if ((await this.#store.confirm(id)) === "expired") throw new LongshoreError("redis_unavailable");
  }
}

/** Cancels a job wherever it is, and returns it as it is then. Throws `job_not_found`. */
export async function cancelJob(store: JobStore, queue: JobQueue, id: string): Promise<Job> {
  const status = await store.cancel(id);
  // Only saves a worker the trouble: it would find the record canceled.
  if (status === "canceled") await queue.remove(id).catch(() => undefined);
  const job = status === "gone" ? undefined : await store.get(id);
  if (job === undefined) throw new LongshoreError("job_not_found");
  return job;
}
