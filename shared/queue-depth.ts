/** How many jobs wait and run, and for how long the oldest of them has. */
import type { Redis } from "ioredis";
import { createKeys } from "./keys.ts";
import { withRedis } from "./redis.ts";

export interface StateDepth {
  readonly state: "queued" | "running";
  readonly jobs: number;
  /** Seconds since the oldest one was created, or started; 0 when there is none. */
  readonly oldestAgeSeconds: number;
}

/** Reads both, by Redis's clock. Throws `redis_unavailable`. */
export async function readQueueDepth(redis: Redis, queue: string): Promise<StateDepth[]> {
  const keys = createKeys(queue);
  const [time, ...depths] = await withRedis(() =>
    Promise.all([
      redis.time(),
      ...(["queued", "running"] as const).map(async (state) => ({
        state,
        jobs: await redis.zcard(keys[state]),
        oldest: await redis.zrange(keys[state], "0", "0", "WITHSCORES"),
      })),
    ]),
  );
  const now = Number(time[0]) * 1000 + Number(time[1]) / 1000;
  return depths.map(({ state, jobs, oldest }) => ({
    state,
    jobs,
    oldestAgeSeconds: oldest[1] === undefined ? 0 : Math.max(0, now - Number(oldest[1])) / 1000,
  }));
}
