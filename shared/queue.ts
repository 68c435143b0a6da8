/**
 * BullMQ's part: in which order jobs are taken, by whom, and again after a worker was lost.
 *
 * It knows of a job nothing but its id and its images' names, and forgets it as soon as it is over: records and results have a life of
 * their own (`shared/job-store.ts`).
 */
import { Job, Queue, type QueueOptions, type WorkerOptions } from "bullmq";
import type { Redis } from "ioredis";
import type { ImageNeed } from "./image-needs.ts";
import type { JobRequest } from "./job-request.ts";
import { createKeys, QUEUE_NAME } from "./keys.ts";
import type { Priority } from "./request-fields.ts";
import { withRedis } from "./redis.ts";

/** What BullMQ carries: a reference, never a body. */
export interface JobReference {
  readonly id: string;
  /** Images that a worker has to have, or to pull. */
  readonly needs: readonly ImageNeed[];
}

/**
 * BullMQ takes jobs without a priority (0) first, then those with one, the lowest number first, each in the
 * order of their arrival.
 */
const priorityNumbers: Record<Priority, number> = { high: 0, normal: 10, low: 20 };

/**
 * A worker that is lost is noticed after at most this and the interval: 15 s. It renews its locks every 5 s, from
 * a main thread that never blocks.
 */
const LOCK_MS = 10_000;
const STALLED_INTERVAL_MS = 5000;

/** Events that the stream keeps; nobody reads it, but BullMQ writes several for each job. */
const EVENTS_KEPT = 1000;

/** First pause before a job that failed by our fault is tried again; each further one is twice as long. */
const BACKOFF_MS = 500;

/** How far apart clocks of machines are taken for the same; longer than any pause that is no backoff. */
const CLOCK_SLACK_MS = 60_000;

/** Jobs that are looked at in one go. */
const STRANDED_MAX = 100;

type QueueSettings = Pick<
  QueueOptions,
  "prefix" | "defaultJobOptions" | "streams" | "skipVersionCheck" | "skipWaitingForReady"
>;

/** Options of the producing side. */
export function queueSettings(queue: string, attempts: number): QueueSettings {
  return {
    prefix: createKeys(queue).prefix,
    // `checkRedis` has looked at the version; a producer without Redis fails, it does not wait
    skipVersionCheck: true,
    skipWaitingForReady: true,
    streams: { events: { maxLen: EVENTS_KEPT } },
    defaultJobOptions: {
      attempts,
      backoff: { type: "exponential", delay: BACKOFF_MS },
      removeOnComplete: true,
      removeOnFail: true,
      stackTraceLimit: 1,
    },
  };
}

type WorkerSettings = Pick<
  WorkerOptions,
  "prefix" | "lockDuration" | "stalledInterval" | "maxStalledCount" | "removeOnComplete" | "removeOnFail"
>;

/**
 * Options of the consuming side. A stalled job is one whose lock nobody renewed: it is taken up again as often as
 * leaves `attempts` starts in all.
 */
export function workerSettings(queue: string, attempts: number): WorkerSettings {
  return {
    prefix: createKeys(queue).prefix,
    lockDuration: LOCK_MS,
    stalledInterval: STALLED_INTERVAL_MS,
    maxStalledCount: attempts - 1,
    removeOnComplete: { count: 0 },
    removeOnFail: { count: 0 },
  };
}

/** What a job is called that has parts, and waits for them: BullMQ's flows are made of these and their children. */
export const DIVIDED_NAME = "divided";

/** Where BullMQ thinks a job is. */
export type Whereabouts = "waiting" | "active" | "over";

export interface JobQueueOptions {
  /** A connection that the queue does not close. */
  readonly redis: Redis;
  readonly queue: string;
  readonly attempts: number;
}

/** What jobs go in by, when the queue is open. */
export interface Inlet {
  /**
   * Adds a job; nothing happens when it is there already. It is sent before this returns: what is sent on the same
   * connection before and after, Redis gets before and after. Throws `redis_unavailable`.
   */
  add(id: string, request: Pick<JobRequest, "kind" | "priority">, needs?: readonly ImageNeed[]): Promise<void>;
}

interface OpenedQueue extends Inlet {
  readonly queue: Queue<JobReference>;
}

/** The queue from outside: adds jobs, removes them, asks for them. */
export class JobQueue implements AsyncDisposable {
  readonly #options: JobQueueOptions;
  #opened: Promise<OpenedQueue> | undefined;

  constructor(options: JobQueueOptions) {
    this.#options = options;
  }

  /** Opens the queue, unless that was done before. Throws `redis_unavailable`. */
  async open(): Promise<Inlet> {
    return await withRedis(() => this.#open());
  }

  /** Adds a job; nothing happens when it is there already. Throws `redis_unavailable`. */
  async add(...job: Parameters<Inlet["add"]>): Promise<void> {
    await (await this.open()).add(...job);
  }

  /**
   * Adds a part of a job that is in a worker's hands; nothing happens when it is there already. That a part is given up
   * does not keep its job from going on.
   */
  async addPart(id: string, job: string, priority: Priority, needs: readonly ImageNeed[]): Promise<void> {
    await this.#use((queue) =>
      queue.add(
        "part",
        { id, needs },
        {
          jobId: id,
          priority: priorityNumbers[priority],
          parent: { id: job, queue: queue.qualifiedName },
          ignoreDependencyOnFailure: true,
        },
      ),
    );
  }

  /** Removes a job, unless a worker has it in its hands; that worker will find it canceled. */
  async remove(id: string): Promise<void> {
    await this.#use((queue) => queue.remove(id));
  }

  async whereabouts(id: string): Promise<Whereabouts> {
    const state = await this.#use((queue) => queue.getJobState(id));
    switch (state) {
      case "active":
        return "active";
      case "completed":
      case "failed":
      case "unknown":
        return "over";
      default:
        return "waiting";
    }
  }

  /**
   * Has jobs taken up now that would wait for longer than anybody lets them: the clock of the machine that put them off was
   * ahead of Redis', and by that of others their time may be hours away. @returns how many
   */
  async promoteStranded(): Promise<number> {
    const { redis, attempts } = this.#options;
    const longestMs = CLOCK_SLACK_MS + BACKOFF_MS * 2 ** Math.max(0, attempts - 2);
    return await this.#use(async (queue) => {
      const [seconds] = await redis.time();
      // BullMQ's scores: milliseconds, and 12 bits that tell jobs of the same one apart.
      const latest = (Number(seconds) * 1000 + longestMs) * 0x1000;
      const ids = await redis.zrangebyscore(queue.toKey("delayed"), latest, "+inf", "LIMIT", 0, STRANDED_MAX);
      let promoted = 0;
      for (const id of ids) {
        const job = await queue.getJob(id);
        // Somebody else may have been faster.
        if (job !== undefined && (await job.isDelayed())) await job.promote().then(() => (promoted += 1));
      }
      return promoted;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const opened = this.#opened;
    this.#opened = undefined;
    await opened?.then(
      ({ queue }) => queue.close(),
      () => undefined,
    );
  }

  async #use<Result>(action: (queue: Queue<JobReference>) => Promise<Result>): Promise<Result> {
    return await withRedis(async () => await action((await this.#open()).queue));
  }

  /** A BullMQ queue whose first commands failed stays broken, so another one is made when it is needed again. */
  #open(): Promise<OpenedQueue> {
    this.#opened ??= this.#create().catch((error: unknown) => {
      this.#opened = undefined;
      throw error;
    });
    return this.#opened;
  }

  async #create(): Promise<OpenedQueue> {
    const { redis, queue: name, attempts } = this.#options;
    const queue = new Queue<JobReference>(QUEUE_NAME, { connection: redis, ...queueSettings(name, attempts) });
    // the connection's owner hears of its errors; without a listener here BullMQ would end the process
    queue.on("error", () => undefined);
    await queue.waitUntilReady();
    const client = await queue.backend.client;
    return {
      queue,
      async add(id, { kind, priority }, needs = []) {
        const name = kind === "shard" ? DIVIDED_NAME : "job";
        const options = { ...queue.jobsOpts, jobId: id, priority: priorityNumbers[priority] };
        // Not `queue.add`, which sends some turns of promises later.
        await withRedis(() => new Job(queue, name, { id, needs }, options, id).addJob(client));
      },
    };
  }
}
