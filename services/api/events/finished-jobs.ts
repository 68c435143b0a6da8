import { decodeContent } from "../../../shared/content.ts";
import { LongshoreError } from "../../../shared/errors.ts";
import type { Job } from "../../../shared/job.ts";
import { outputStreams, type OutputStreamName } from "../../../shared/job-events.ts";
import type { JobStore } from "../../../shared/job-store.ts";

/** A finished job, shared by all who watch it. */
export interface FinishedJob {
  readonly job: Job;
  /** All of a stream; empty where the job has no such output. */
  bytesOf(stream: OutputStreamName): Uint8Array;
}

interface Entry {
  readonly finished: Promise<FinishedJob>;
  users: number;
}

/**
 * Finished jobs that are being sent. A result may be many megabytes, and a hundred watchers want it at the same moment:
 * it is read once, and kept for as long as one of them is not done with it.
 */
export class FinishedJobs {
  readonly #store: Pick<JobStore, "get">;
  readonly #entries = new Map<string, Entry>();

  constructor(store: Pick<JobStore, "get">) {
    this.#store = store;
  }

  /** Lends a finished job. Throws `job_not_found` when it has expired, `redis_unavailable`. */
  async lend(id: string): Promise<FinishedJob & Disposable> {
    const entry = this.#entries.get(id) ?? { finished: this.#read(id), users: 0 };
    this.#entries.set(id, entry);
    entry.users++;
    const giveBack = (): void => {
      if (--entry.users === 0 && this.#entries.get(id) === entry) this.#entries.delete(id);
    };
    try {
      const finished = await entry.finished;
      return { ...finished, [Symbol.dispose]: giveBack };
    } catch (error) {
      giveBack();
      throw error;
    }
  }

  async #read(id: string): Promise<FinishedJob> {
    const job = await this.#store.get(id);
    if (job === undefined) throw new LongshoreError("job_not_found");
    const decoded = new Map<OutputStreamName, Uint8Array>();
    return {
      job,
      bytesOf(stream) {
        const bytes = decoded.get(stream) ?? decode(job, stream);
        decoded.set(stream, bytes);
        return bytes;
      },
    };
  }
}

function decode(job: Job, stream: OutputStreamName): Uint8Array {
  return job.kind === "run" && job.result !== null ? decodeContent(job.result[stream]) : new Uint8Array();
}

/** How much of each stream a finished job has, without decoding it. */
export function outputSizes({ kind, result }: Job): Readonly<Record<OutputStreamName, number>> {
  const sizes = { stdout: 0, stderr: 0 };
  if (kind === "run" && result !== null) for (const stream of outputStreams) sizes[stream] = result[stream].bytes;
  return sizes;
}
