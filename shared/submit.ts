/**
 * How a job gets into the queue, and out of it again.
 *
 *   accept (record, expires in 30 s) ──▶ BullMQ has its id ──▶ confirm (record stays) ──▶ 202
 *
 * Wherever the API dies on this way, the client has no answer and nothing half done remains: a record that
 * was not confirmed expires and does not count in the depth for longer than that; an id in BullMQ whose record
 * is gone is dropped by the worker that takes it. After a 202 there is always both, since Redis applies and
 * writes down the three steps in their order.
 */
import { LongshoreError } from "./errors.ts";
import { imageNeedsOf } from "./image-needs.ts";
import type { Job } from "./job.ts";
import type { JobRequest } from "./job-request.ts";
import type { Idempotency, JobStore } from "./job-store.ts";
import type { JobQueue } from "./queue.ts";
import { traceStage } from "./trace.ts";

export interface Submission {
  readonly job: Job;
  /** `repeated`: the job of an earlier request with the same Idempotency-Key. */
  readonly status: "accepted" | "repeated";
}

export interface SubmitOptions {
  readonly queueLimit: number;
  readonly idempotency?: Idempotency;
}

/** Accepts a job. Throws `queue_full`, `idempotency_conflict`, `redis_unavailable`: nothing was accepted then. */
export async function submitJob(
  store: JobStore,
  queue: JobQueue,
  request: JobRequest,
  options: SubmitOptions,
): Promise<Submission> {
  const acceptance = await store.accept(request, options.queueLimit, options.idempotency);
  traceStage("recorded");
  const id = acceptance.status === "accepted" ? acceptance.job.id : acceptance.id;
  if (acceptance.delivery === "pending") {
    // A repetition delivers too: the first request may be about to fail, and this one will say 202.
    await deliver(store, queue, id, request);
  }
  if (acceptance.status === "accepted") return acceptance;
  const job = await store.get(id);
  if (job === undefined) throw new LongshoreError("redis_unavailable");
  return { status: acceptance.status, job };
}

async function deliver(store: JobStore, queue: JobQueue, id: string, request: JobRequest): Promise<void> {
  try {
    await queue.add(id, request, imageNeedsOf(request));
  } catch (error) {
    // Usually Redis is away and this fails as well; then the record expires by itself.
    await store.withdraw(id).catch(() => undefined);
    throw error;
  }
  traceStage("enqueued");
  const confirmation = await store.confirm(id);
  traceStage("confirmed");
  if (confirmation === "expired") throw new LongshoreError("redis_unavailable");
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
