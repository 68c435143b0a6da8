/** Whether Redis has room for what further jobs leave there: results stay as long as clients may ask for them. */
import type { Redis } from "ioredis";

/**
 * The part of what Redis may take (`maxmemory`) from which on jobs are refused. The rest is for the results of those that
 * are there: a Redis that is full takes none, and no lock of a job that runs is renewed any more.
 */
const FULL_SHARE = 0.8;

const LOOK_MS = 1000;

export interface RedisRoom extends Disposable {
  /** As of a second ago; while Redis is away, as it was before. */
  readonly isShort: boolean;
}

/** Looks now and then, until it is disposed of: not for each job, which would take as long to wait for as its record. */
export function watchRedisRoom(redis: Redis): RedisRoom {
  let isShort = false;
  const look = async (): Promise<void> => {
    isShort = isNearlyFull(await redis.info("memory"));
  };
  const timer = setInterval(() => void look().catch(() => undefined), LOOK_MS).unref();
  return {
    get isShort() {
      return isShort;
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}

/** @param information what INFO answers; where nothing bounds Redis, it is never full */
export function isNearlyFull(information: string): boolean {
  const [used = 0, most = 0] = ["used_memory", "maxmemory"].map((name) =>
    Number(new RegExp(`^${name}:(\\d+)`, "m").exec(information)?.[1] ?? 0),
  );
  return most > 0 && used > most * FULL_SHARE;
}
