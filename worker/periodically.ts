import { setTimeout as delay } from "node:timers/promises";

/**
 * Does something at once and then again and again, with a pause after each time, until it is disposed of. A time that
 * fails is reported and the next one comes as usual.
 */
export function periodically(
  work: () => Promise<void>,
  pauseMs: number,
  onError: (error: unknown) => void,
): AsyncDisposable {
  const stop = new AbortController();
  const loop = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      await work().catch(onError);
      await delay(pauseMs, undefined, { signal: stop.signal, ref: false }).catch(() => undefined);
    }
  };
  const running = loop();
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}
