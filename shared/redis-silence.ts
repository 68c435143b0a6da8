import type { Redis } from "ioredis";

/** How often a connection is tried, and how long it may take to answer. */
export const SILENCE_MS = 2000;

/**
 * Gives up connections that have fallen silent: when the other host is gone, or a firewall has forgotten them, nothing
 * comes any more, not even an end, and TCP itself takes a quarter of an hour to notice. Whoever only listens would
 * listen for ever. The connection is then made anew; commands that were on their way are sent again.
 *
 * Not for connections whose commands wait in the server (BZPOPMIN): they would seem silent. BullMQ watches its own.
 */
export function reconnectWhenSilent(redis: Redis): void {
  let unanswered = false;
  const probe = (): void => {
    if (unanswered || redis.status !== "ready") return;
    unanswered = true;
    const patience = setTimeout(() => redis.disconnect(true), SILENCE_MS);
    const answered = (): void => {
      clearTimeout(patience);
      unanswered = false;
    };
    // An error is an answer, too; a probe that was sent again after a reconnection is answered then.
    redis.ping().then(answered, answered);
  };
  const timer = setInterval(probe, SILENCE_MS).unref();
  redis.once("end", () => clearInterval(timer));
}
