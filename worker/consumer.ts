/**
 * Takes jobs from BullMQ, as many at a time as there are slots, and tells it what became of them.
 *
 * BullMQ's word for a job is never the last: what is over for the client stands in the job's record, written by the
 * attempt that holds it. So nothing here is lost or doubled when BullMQ's own bookkeeping is interrupted.
 */
import { type Job, Worker, WaitingChildrenError, WaitingError } from "bullmq";
import type { Redis } from "ioredis";
import { errorTable } from "../shared/errors.ts";
import { QUEUE_NAME } from "../shared/keys.ts";
import { DIVIDED_NAME, type JobReference, workerSettings } from "../shared/queue.ts";
import { traceStage } from "../shared/trace.ts";
import { Attempt, type AttemptContext, type Verdict } from "./attempt.ts";
import { insist } from "./insist.ts";
import { reportOutages } from "./outages.ts";
import { renewLock } from "./lock-renewal.ts";

export interface ConsumerOptions {
  /** A consumer's connection; the consumer does not close it, and makes another one like it to wait for jobs. */
  readonly redis: Redis;
  readonly queue: string;
  /** How often a job is started when workers fail it. */
  readonly attempts: number;
}

export class Consumer {
  readonly #context: AttemptContext;
  readonly #attempts: number;
  readonly #lockMs: number;
  readonly #worker: Worker<JobReference>;
  readonly #current = new Set<Attempt>();
  #draining = false;

  /** Starts to take jobs. */
  constructor({ redis, queue, attempts }: ConsumerOptions, context: AttemptContext) {
    this.#context = context;
    this.#attempts = attempts;
    const settings = workerSettings(queue, attempts);
    this.#lockMs = settings.lockDuration ?? 30_000;
    this.#worker = new Worker<JobReference>(QUEUE_NAME, (job, token) => this.#process(job, token), {
      ...settings,
      connection: redis,
      concurrency: context.slots.total,
      // see renewLock
      skipLockRenewal: true,
    });
    this.#worker.on("failed", (job) => void this.#onFailed(job));
    this.#worker.on("error", reportOutages(context.logger, "bullmq"));
  }

  /**
   * Takes no more jobs and waits for those that run.
   * @param deadline when it aborts, their containers are ended and they go back to the queue
   */
  async drain(deadline: AbortSignal): Promise<void> {
    this.#draining = true;
    const giveBack = (): void => {
      for (const attempt of this.#current) attempt.stop("drained");
    };
    if (deadline.aborted) giveBack();
    else deadline.addEventListener("abort", giveBack, { once: true });
    await this.#worker.close();
  }

  async #process(job: Job<JobReference>, token = ""): Promise<void> {
    traceStage("dequeued");
    const isLast = job.attemptsMade + 1 >= (job.opts.attempts ?? this.#attempts);
    const attempt = new Attempt(job.data.id, this.#context, { isLast });
    // A job that arrives after the drain has begun was already on its way.
    if (this.#draining) attempt.stop("drained");
    this.#current.add(attempt);
    using _renewal = renewLock(job, token, this.#lockMs, () => {
      this.#context.metrics.lockLost();
      attempt.stop("lock lost");
    });
    try {
      const verdict = await this.#make(attempt, job.data.id);
      switch (verdict) {
        case "over":
          // BullMQ does not end a job whose parts are there, as those of one that was canceled may be.
          if (job.name === DIVIDED_NAME && (await job.moveToWaitingChildren(token))) throw new WaitingChildrenError();
          return;
        case "wait for parts":
          if (await job.moveToWaitingChildren(token)) throw new WaitingChildrenError();
          // They are over already.
          await job.moveToWait(token);
          throw new WaitingError();
        case "retry":
          throw new Error("the attempt failed");
        case "give back":
          await job.moveToWait(token);
          throw new WaitingError();
        case "let go":
          // By our clock the lock has run out. If by Redis's it has not, nobody else would take the job for a while,
          // or ever, if BullMQ were told that it is over; if it has, BullMQ refuses, which is all right, too.
          await job.moveToWait(token).catch(() => undefined);
          throw new WaitingError();
        default:
          return verdict satisfies never;
      }
    } finally {
      this.#current.delete(attempt);
    }
  }

  /** What goes wrong with an attempt's bookkeeping has nobody else to tell: BullMQ would only try again. */
  async #make(attempt: Attempt, job: string): Promise<Verdict> {
    try {
      return await attempt.make();
    } catch (error) {
      // Not the error itself: that of a script has the script and all its arguments.
      this.#context.logger.error({ job, reason: String(error) }, "an attempt could not be concluded");
      throw error;
    }
  }

  /** BullMQ gives a job up whose workers were lost too often: it does so without calling us to process it. */
  async #onFailed(job: Job<JobReference> | undefined): Promise<void> {
    if (job?.deferredFailure === undefined) return;
    const { store, logger } = this.#context;
    const { id } = job.data;
    const error = { code: "worker_lost", message: errorTable.worker_lost.message } as const;
    try {
      if ((await insist(() => store.fail(id, error))) === "failed")
        logger.warn({ job: id }, "its workers were lost too often");
    } catch (failure) {
      logger.error({ err: failure, job: id }, "a job that was given up could not be ended: it will be found again");
    }
  }
}
