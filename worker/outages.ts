import type { Logger } from "../shared/log.ts";

/** A connection that is down is tried again at least every second, and fails with the same message each time. */
const SILENCE_MS = 5000;

/**
 * Makes a handler that logs what goes wrong on a connection: the first time, and again when it is something else, or
 * when there was peace in between.
 * @param what the connection is for
 */
export function reportOutages(logger: Logger, what: string): (error: Error) => void {
  let last = { message: "", at: 0 };
  return (error) => {
    const now = Date.now();
    if (error.message !== last.message || now - last.at > SILENCE_MS) {
      logger.warn({ err: error, connection: what }, "redis does not do what it should: trying again");
    }
    last = { message: error.message, at: now };
  };
}
