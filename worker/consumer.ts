/**
 * Takes jobs from BullMQ, as many at a time as there are slots, and tells it what became of them.
 *
 *   job ──▶ are its images elsewhere? ──▶ attempt ──────────────────────────▶ verdict ──▶ BullMQ
 *                │ yes                       │ waits for a pull                   ▲
 *                ▼                           ▼                                    │
 *           later, to whoever          on its own: its place is another job's ────┘
 *
 * A job that is left to others is offered again after a pause, which grows: idle workers take what is offered in turn, so
 * it finds the one that has its image, or waits until that one is free. A job whose image is pulled keeps its lock, but
 * not its place among those that BullMQ lets us have at once. While the worker rests (fitness.ts), every job goes back.
 *
 * BullMQ's word for a job is never the last: what is over for the client stands in the job's record, written by the
 * attempt that holds it. So nothing here is lost or doubled when BullMQ's own bookkeeping is interrupted.
 */
import { DelayedError, type Job, Worker, WaitingChildrenError, WaitingError } from "bullmq";
import type { Redis } from "ioredis";
import { errorTable } from "../shared/errors.ts";
import { QUEUE_NAME } from "../shared/keys.ts";
import { DIVIDED_NAME, type JobReference, workerSettings } from "../shared/queue.ts";
import { traceStage } from "../shared/trace.ts";
import { Attempt, type AttemptContext, type Verdict } from "./attempt.ts";
import { Fitness } from "./fitness.ts";
import { insist } from "./insist.ts";
import type { Placement } from "./placement.ts";
import { reportOutages } from "./outages.ts";
import { renewLock } from "./lock-renewal.ts";

/** Pauses before a job that is left to other workers is offered again, in milliseconds: the first, and the longest. */
const HAND_OVER_MS = { first: 50, longest: 5000 };

/** Jobs that may wait for pulls besides those that have a place; their requests are in memory. */
const PULLING_MAX = 8;

export interface ConsumerOptions {
  /** A consumer's connection; the consumer does not close it, and makes another one like it to wait for jobs. */
  readonly redis: Redis;
  readonly queue: string;
  /** How often a job is started when workers fail it. */
  readonly attempts: number;
  readonly placement: Placement;
}

export class Consumer {
  readonly #context: AttemptContext;
  readonly #attempts: number;
  readonly #lockMs: number;
  readonly #worker: Worker<JobReference>;
  readonly #current = new Set<Attempt>();
  readonly #placement: Placement;
  readonly #fitness = new Fitness();
  /** Those without a place: each resolves when BullMQ has been told what became of it. */
  readonly #displaced = new Set<Promise<void>>();
  #draining = false;

  /** Starts to take jobs. */
  constructor({ redis, queue, attempts, placement }: ConsumerOptions, context: AttemptContext) {
    this.#context = context;
    this.#attempts = attempts;
    this.#placement = placement;
    const settings = workerSettings(queue, attempts);
    this.#lockMs = settings.lockDuration ?? 30_000;
    this.#worker = new Worker<JobReference>(QUEUE_NAME, (job, token) => this.#process(job, token), {
      ...settings,
      connection: redis,
      concurrency: context.slots.total,
      // see renewLock
      skipLockRenewal: true,
    });
    this.#worker.on("failed", (job, error) => void this.#onFailed(job, error));
    this.#worker.on("error", reportOutages(context.logger, "bullmq"));
  }

  /**
   * Takes no more jobs and waits for those that run.
   * @param deadline when it aborts, their containers are ended and they go back to the queue
   */
  async drain(deadline: AbortSignal): Promise<void> {
    this.#draining = true;
    this.#fitness.endRest();
    const giveBack = (): void => {
      for (const attempt of this.#current) attempt.stop("drained");
    };
    if (deadline.aborted) giveBack();
    else deadline.addEventListener("abort", giveBack, { once: true });
    // BullMQ closes what they need, and knows nothing of them.
    await this.#worker.pause(true);
    await Promise.all(this.#displaced);
    await this.#worker.close();
  }

  async #process(job: Job<JobReference>, token = ""): Promise<void> {
    traceStage("dequeued");
    const { rest } = this.#fitness;
    if (rest !== undefined) {
      await job.moveToWait(token);
      await rest;
      throw new WaitingError();
    }
    // Without waiting where nothing has to be waited for: BullMQ sends its next question in this very turn, which Redis
    // would answer before it lets us have this job.
    if (!this.#placement.hasAll(job.data.needs ?? []) && (await this.#isElsewhere(job))) {
      this.#context.metrics.jobHandedOver();
      // If it fails, the lock runs out.
      await job.moveToDelayed(Date.now() + pauseBeforeOffer(job), token).catch(() => undefined);
      throw new DelayedError();
    }
    const isLast = job.attemptsMade + 1 >= (job.opts.attempts ?? this.#attempts);
    const attempt = new Attempt(job.data.id, this.#context, { isLast });
    // A job that arrives after the drain has begun was already on its way.
    if (this.#draining) attempt.stop("drained");
    const ended = this.#carryOut(attempt, job, token);
    if ((await Promise.race([ended.then(() => "ended"), attempt.pulling])) === "ended" || !this.#mayDisplace())
      return ended;
    const told = tellOfDisplaced(ended, job, token)
      .catch((error: unknown) => {
        // The lock runs out, and whoever takes the job up finds it ended, or makes another attempt.
        this.#context.logger.warn(
          { job: job.data.id, reason: String(error) },
          "bullmq could not be told of a job's end",
        );
      })
      .finally(() => this.#displaced.delete(told));
    this.#displaced.add(told);
    // Not so: for BullMQ it is active, under our lock. But it asks for the next job now.
    throw new WaitingError();
  }

  /** While we drain, BullMQ waits for those that it knows of. */
  #mayDisplace(): boolean {
    return !this.#draining && this.#displaced.size < PULLING_MAX;
  }

  /** Who cannot be asked for other workers does the job. */
  async #isElsewhere({ data: { id, needs = [] } }: Job<Partial<JobReference>>): Promise<boolean> {
    if (this.#draining) return false;
    return await this.#placement.isElsewhere(needs).catch((error: unknown) => {
      this.#context.logger.warn({ job: id, reason: String(error) }, "it is not known who has the images of a job");
      return false;
    });
  }

  /**
   * Makes an attempt, and moves the job to where it goes on, if it does.
   * @throws what tells BullMQ that it has been moved, or has failed; without, it is over
   */
  async #carryOut(attempt: Attempt, job: Job<JobReference>, token: string): Promise<void> {
    this.#current.add(attempt);
    using _renewal = renewLock(job, token, this.#lockMs, () => {
      this.#context.metrics.lockLost();
      attempt.stop("lock lost");
    });
    try {
      const verdict = await this.#make(attempt, job.data.id);
      if (attempt.health === "bad") this.#fitness.failed();
      else if (attempt.health === "good") this.#fitness.succeeded();
      switch (verdict) {
        case "over":
          // BullMQ does not end a job whose parts are there, as those of one that was canceled may be.
          if (job.name === DIVIDED_NAME && (await job.moveToWaitingChildren(token))) throw new WaitingChildrenError();
          return;
        case "wait for parts":
          // To be put together it comes before jobs that have not begun.
          await job.changePriority({ priority: 0 });
          if (await job.moveToWaitingChildren(token)) throw new WaitingChildrenError();
          // They are over already.
          await job.moveToWait(token);
          throw new WaitingError();
        case "retry":
          throw new ReportedError("the attempt failed");
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
      throw new ReportedError("the attempt could not be concluded", { cause: error });
    }
  }

  /** BullMQ gives a job up whose workers were lost too often: it does so without calling us to process it. */
  async #onFailed(job: Job<JobReference> | undefined, reason: Error): Promise<void> {
    const { store, logger } = this.#context;
    if (job?.deferredFailure === undefined) {
      // A mistake of ours: BullMQ tries the job again, and keeps the reason to itself.
      if (!(reason instanceof ReportedError))
        logger.error({ err: reason, job: job?.data.id }, "a job was not taken up");
      return;
    }
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

/** Tells BullMQ that an attempt has failed; the log says why. */
class ReportedError extends Error {}

/** Does what BullMQ does for a job that it knows of, when what was done with the job has ended. */
async function tellOfDisplaced(ended: Promise<void>, job: Job<JobReference>, token: string): Promise<void> {
  try {
    await ended;
  } catch (error) {
    if (error instanceof WaitingError || error instanceof WaitingChildrenError) return;
    await job.moveToFailed(error instanceof Error ? error : new Error(String(error)), token, false);
    return;
  }
  await job.moveToCompleted(undefined, token, false);
}

/** Doubles each time, and is spread by chance, so that many jobs do not come back at once. Milliseconds. */
function pauseBeforeOffer({ attemptsStarted, attemptsMade }: Job): number {
  const handOvers = Math.max(0, attemptsStarted - 1 - attemptsMade);
  const boundMs = Math.min(HAND_OVER_MS.longest, HAND_OVER_MS.first * 2 ** handOvers);
  return Math.round(boundMs * (0.5 + Math.random() / 2));
}
