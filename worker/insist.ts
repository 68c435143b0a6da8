import { setTimeout as delay } from "node:timers/promises";
import { LongshoreError } from "../shared/errors.ts";

const PAUSE_MS = 250;

/**
 * Repeats a call until Redis has answered it. A connection that is down makes a call wait by itself; this is for a
 * Redis that answers that it cannot now: it is loading, out of memory, or a replica.
 * @throws whatever else the call throws
 */
export async function insist<Result>(call: () => Promise<Result>): Promise<Result> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof LongshoreError && error.code === "redis_unavailable")) throw error;
    }
    await delay(PAUSE_MS);
  }
}
