/**
 * Ends jobs that BullMQ has given up and that nobody told the store about.
 *
 * Whoever sees BullMQ give a job up calls `store.fail`; if that process dies in between, the record would say
 * `running` for ever. A record enters the sets below after BullMQ has its job and leaves them before BullMQ
 * forgets it, so a job that is in a set and over for BullMQ is lost: no waiting time is needed to be sure.
 */
import type { Redis } from "ioredis";
import type { JobStore } from "./job-store.ts";
import type { JobQueue } from "./queue.ts";
import { errorTable } from "./errors.ts";
import { withRedis } from "./redis.ts";

/** About as many jobs of each state are looked at in one go. */
const BATCH = 100;

/** Goes through all jobs that are not finished, a batch at a time, again and again. */
export class Reconciler {
  readonly #redis: Redis;
  readonly #store: JobStore;
  readonly #queue: JobQueue;
  /** Where the next batch begins in each set. Jobs that wait for long do not keep it from those behind them. */
  readonly #cursors = new Map<string, string>();

  /** @param redis a connection that is not closed here */
  constructor(redis: Redis, store: JobStore, queue: JobQueue) {
    this.#redis = redis;
    this.#store = store;
    this.#queue = queue;
  }

  /**
   * Looks at the next jobs of each state and fails those that are lost with `worker_lost`; returns their ids. Has those
   * taken up that a wrong clock has put off.
   */
  async next(): Promise<string[]> {
    await this.#queue.promoteStranded();
    const lost: string[] = [];
    for (const set of [this.#store.keys.running, this.#store.keys.queued]) {
      for (const id of await this.#nextBatch(set)) {
        if ((await this.#queue.whereabouts(id)) !== "over") continue;
        const error = { code: "worker_lost", message: errorTable.worker_lost.message } as const;
        if ((await this.#store.fail(id, error)) === "failed") lost.push(id);
      }
    }
    return lost;
  }

  /** ZSCAN finds every member that is there from one start of it to the next, whatever comes and goes meanwhile. */
  async #nextBatch(set: string): Promise<string[]> {
    const cursor = this.#cursors.get(set) ?? "0";
    const [next, membersAndScores] = await withRedis(() => this.#redis.zscan(set, cursor, "COUNT", BATCH));
    this.#cursors.set(set, next);
    return membersAndScores.filter((_, index) => index % 2 === 0);
  }
}
