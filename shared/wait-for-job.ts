/** Waiting for a job to finish. */
import type { Job } from "./job.ts";
import { isFinished } from "./job.ts";
import type { JobSignals } from "./job-signals.ts";
import type { JobStore } from "./job-store.ts";
import { traceStage } from "./trace.ts";

/**
 * Resolves with the job as soon as it is finished, or with what was last known of it when the signal aborts.
 * While Redis is away it goes on waiting: the job does too. Never rejects for an abort or a lost connection.
 *
 * @param finished signals of the channel on which finished jobs are published
 */
export async function waitForJob(store: JobStore, finished: JobSignals, known: Job, signal: AbortSignal): Promise<Job> {
  let job = known;
  if (isFinished(job)) return job;
  let wake = Promise.withResolvers<void>();
  const awaken = (): void => wake.resolve();
  using _watch = finished.watch(job.id, awaken);
  signal.addEventListener("abort", awaken, { once: true });
  try {
    for (;;) {
      // before reading: what happens from here on wakes the next round
      const news = wake.promise;
      job = (await store.get(job.id).catch(() => undefined)) ?? job;
      traceStage("fetched");
      if (isFinished(job) || signal.aborted) return job;
      await news;
      traceStage("noticed");
      wake = Promise.withResolvers<void>();
    }
  } finally {
    signal.removeEventListener("abort", awaken);
  }
}
