/** Trying again what failed for a moment: exponential back-off with full jitter. */
import { setTimeout as sleep } from "node:timers/promises";
import { TransientError } from "./registry-error.ts";

/** How patient we are with a registry. */
export interface RetryPolicy {
  /** Tries in a row without any progress, the first one included. */
  readonly attempts: number;
  /** Upper end of the first pause, in milliseconds; doubles with each further one. */
  readonly firstPauseMs: number;
  /** No pause of our own is longer; milliseconds. */
  readonly longestPauseMs: number;
  /** A server that asks for a longer pause than this has refused; milliseconds. */
  readonly longestRetryAfterMs: number;
}

export const DEFAULT_RETRY: RetryPolicy = {
  attempts: 6,
  firstPauseMs: 250,
  longestPauseMs: 15_000,
  longestRetryAfterMs: 60_000,
};

/** Told of each failure that is going to be tried again. */
export type OnRetry = (failure: TransientError, pauseMs: number) => void;

/**
 * How long to stay away after a failure. Jitter over the whole range ("full jitter") keeps a fleet of workers, which
 * all lost the same registry in the same moment, from coming back in the same moment.
 * @param failures so far, at least 1
 * @param random from 0 to 1
 * @returns milliseconds; undefined to give up
 */
export function pauseAfter(
  failure: TransientError,
  failures: number,
  policy: RetryPolicy,
  random: number,
): number | undefined {
  if (failures >= policy.attempts) return undefined;
  const { retryAfterMs } = failure;
  if (retryAfterMs !== undefined && retryAfterMs > policy.longestRetryAfterMs) return undefined;
  const ownPauseMs = random * Math.min(policy.longestPauseMs, policy.firstPauseMs * 2 ** (failures - 1));
  return Math.round(Math.max(ownPauseMs, retryAfterMs ?? 0));
}

/** Counts failures in a row, and waits between them. */
export class Patience {
  #failures = 0;
  readonly #policy: RetryPolicy;
  readonly #onRetry: OnRetry | undefined;
  readonly #signal: AbortSignal | undefined;

  constructor(policy: RetryPolicy, onRetry?: OnRetry, signal?: AbortSignal) {
    this.#policy = policy;
    this.#onRetry = onRetry;
    this.#signal = signal;
  }

  /** Something was achieved: the next failure is a first one again. */
  renew(): void {
    this.#failures = 0;
  }

  /**
   * Waits before the next try.
   * @throws `failure` itself when it is final, or there were too many
   */
  async endure(failure: unknown): Promise<void> {
    if (!(failure instanceof TransientError)) throw failure;
    this.#failures += 1;
    const pauseMs = pauseAfter(failure, this.#failures, this.#policy, Math.random());
    if (pauseMs === undefined) throw failure;
    this.#onRetry?.(failure, pauseMs);
    await sleep(pauseMs, undefined, this.#signal && { signal: this.#signal });
  }
}

/** Runs `operation` until it succeeds, fails for good, or patience ends. */
export async function retrying<Value>(patience: Patience, operation: () => Promise<Value>): Promise<Value> {
  for (;;) {
    try {
      return await operation();
    } catch (error) {
      await patience.endure(error);
    }
  }
}
