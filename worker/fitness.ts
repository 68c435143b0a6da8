/**
 * Whether a worker takes jobs, or rests.
 *
 * One that fails jobs for want of something of its own (its disk is full, its files are gone) does so faster than others
 * can do them: it would soon have had them all, and used their attempts up. So it rests after each failure, for longer
 * when the next job fails, too; what it is given meanwhile it gives back at once, to whoever is better off.
 *
 *     job ─▶ done ───────────────────────────▶ takes the next
 *       └──▶ failed, by the worker's fault ──▶ rests 0.25 s, 0.5 s, … 4 s ──▶ takes the next
 */
import { setTimeout as delay } from "node:timers/promises";

const FIRST_REST_MS = 250;
const LONGEST_REST_MS = 4000;

/** Waits, in milliseconds, unless the signal aborts. */
export type Pause = (ms: number, signal: AbortSignal) => Promise<void>;

const pauseForReal: Pause = async (ms, signal) => {
  await delay(ms, undefined, { signal }).catch(() => undefined);
};

export class Fitness {
  readonly #pause: Pause;
  readonly #end = new AbortController();
  #failuresInARow = 0;
  #rest: Promise<void> | undefined;

  constructor(pause = pauseForReal) {
    this.#pause = pause;
  }

  /** Resolves at the end of the rest that there is now; undefined when there is none. */
  get rest(): Promise<void> | undefined {
    return this.#rest;
  }

  /** A job was done, whatever its program did. */
  succeeded(): void {
    this.#failuresInARow = 0;
  }

  /** A job was not done, and another worker might have. Several that fail at once are as one. */
  failed(): void {
    if (this.#rest !== undefined || this.#end.signal.aborted) return;
    const restMs = Math.min(FIRST_REST_MS * 2 ** this.#failuresInARow, LONGEST_REST_MS);
    this.#failuresInARow += 1;
    this.#rest = this.#pause(restMs, this.#end.signal).finally(() => (this.#rest = undefined));
  }

  /** Ends the rest for good: who takes no more jobs has nobody to spare. */
  endRest(): void {
    this.#end.abort();
  }
}
