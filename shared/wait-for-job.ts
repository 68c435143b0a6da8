/** Waiting for a job to finish. */
import type { Job } from "./job.ts";
import { isFinished } from "./job.ts";
import { readToldJob } from "./job-record.ts";
import type { JobSignals } from "./job-signals.ts";
import type { JobStore } from "./job-store.ts";
import { traceStage } from "./trace.ts";

/**
 * Listens for the end of a job, until it is disposed of. Who does so before the job is accepted need not look whether it
 * has ended before it was listened for.
 */
export class JobEnd implements Disposable {
  readonly id: string;
  readonly #watch: Disposable;
  /** Resolves with the finished job, or with nothing: then its record says how it is. */
  #wake = Promise.withResolvers<Job | undefined>();

  /** @param finished signals of the channel on which finished jobs are published */
  constructor(finished: JobSignals, id: string) {
    this.id = id;
    this.#watch = finished.watch(id, (record) =>
      this.#wake.resolve(record === undefined ? undefined : readToldJob(record)),
    );
  }

  /** Has the job's record looked at: it may have ended. */
  suspect(): void {
    this.#wake.resolve(undefined);
  }

  /**
   * Resolves with the job as soon as it is finished, or with what was last known of it when the signal aborts.
   * While Redis is away it goes on waiting: the job does too. Never rejects for an abort or a lost connection.
   *
   * @param known the job as it was after it began to be listened for, or earlier if it is suspected to have ended
   */
  async wait(store: JobStore, known: Job, signal: AbortSignal): Promise<Job> {
    const suspect = (): void => this.suspect();
    signal.addEventListener("abort", suspect, { once: true });
    if (signal.aborted) suspect();
    try {
      for (let job = known; ;) {
        if (isFinished(job)) return job;
        const told = await this.#wake.promise;
        traceStage("noticed");
        // Before reading: what happens from here on wakes the next round.
        this.#wake = Promise.withResolvers();
        job = told ?? (await store.get(job.id).catch(() => undefined)) ?? job;
        traceStage("fetched");
        if (signal.aborted) return job;
      }
    } finally {
      signal.removeEventListener("abort", suspect);
    }
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
  }
}

/** Waits for the end of a job that may have ended since it was read; see {@link JobEnd.wait}. */
export async function waitForJob(store: JobStore, finished: JobSignals, known: Job, signal: AbortSignal): Promise<Job> {
  using end = new JobEnd(finished, known.id);
  end.suspect();
  return await end.wait(store, known, signal);
}
