import type { Blobs } from "../../shared/blobs/blobs.ts";
import type { Logger } from "../../shared/log.ts";

/** How often blobs are removed that nobody holds; more often where they live for less. */
const SWEEP_MS = 30_000;

/** Sweeps blobs again and again, until it is disposed of. Any number of APIs may: one at a time does. */
export function sweepBlobs(blobs: Blobs, ttlSeconds: number, logger: Logger): Disposable {
  let sweeping = false;
  const timer = setInterval(
    () => {
      if (sweeping) return;
      sweeping = true;
      blobs
        .sweep()
        // Redis or the storage is away: the next one finds the same to do.
        .catch((error: unknown) => logger.warn({ err: error }, "blobs could not be swept"))
        .finally(() => (sweeping = false));
    },
    Math.min(SWEEP_MS, ttlSeconds * 1000),
  );
  timer.unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
