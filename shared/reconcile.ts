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

/** Jobs looked at in one go, the oldest of each state; more is left for the next one. */
const BATCH = 100;

/** Looks at the oldest jobs of each state and fails those that are lost with `worker_lost`; returns their ids. */
export async function reconcileJobs(redis: Redis, store: JobStore, queue: JobQueue): Promise<string[]> {
  const lost: string[] = [];
  for (const set of [store.keys.running, store.keys.queued]) {
    for (const id of await withRedis(() => redis.zrange(set, "0", String(BATCH - 1)))) {
      if ((await queue.whereabouts(id)) !== "over") continue;
      const error = { code: "worker_lost", message: errorTable.worker_lost.message } as const;
      if ((await store.fail(id, error)) === "failed") lost.push(id);
    }
  }
  return lost;
}
