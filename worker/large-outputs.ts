/** Large files that a job returns become blobs, held until the job itself expires: Redis is memory. */
import { setTimeout as delay } from "node:timers/promises";
import type { Blobs, Holder } from "../shared/blobs/blobs.ts";
import { LongshoreError } from "../shared/errors.ts";
import type { JobResult } from "../shared/job-result.ts";
import type { OutputContent } from "../shared/job-store.ts";
import { insist } from "./insist.ts";

/** Files up to this size stay in Redis, where they are read with one command; in bytes. */
const INLINE_BYTES_MAX = 1024 * 1024;

/** A storage that is away for a moment is waited for. */
const TRIES = 3;
const PAUSE_MS = 1000;

/** How a job ended, and its files. */
interface Finished {
  readonly result: JobResult;
  readonly outputs: readonly OutputContent[];
}

/**
 * Stores the large ones of a job's files as blobs. What cannot be stored is an error in the result's list: the program
 * has run, and would not run differently another time.
 */
export async function storeLargeOutputs(job: Finished, blobs: Blobs, holder: Holder): Promise<Finished> {
  const errors = new Map<string, string>();
  const outputs: OutputContent[] = [];
  for (const output of job.outputs) {
    try {
      outputs.push(await toBlob(output, blobs, holder));
    } catch (error) {
      if (!(error instanceof LongshoreError)) throw error;
      errors.set(output.path, `cannot be stored: ${error.message}`);
    }
  }
  if (errors.size === 0) return { ...job, outputs };
  const listed = job.result.outputs.map((entry) => {
    const error = errors.get(entry.path);
    return error === undefined ? entry : { path: entry.path, error };
  });
  return { result: { ...job.result, outputs: listed }, outputs };
}

async function toBlob(output: OutputContent, blobs: Blobs, holder: Holder): Promise<OutputContent> {
  if ("blob" in output || output.content.byteLength <= INLINE_BYTES_MAX) return output;
  const { path, content } = output;
  for (let tries = 1; ; tries++) {
    try {
      const { digest, bytes } = await insist(() => blobs.put(piecesOf(content), holder));
      return { path, blob: digest, bytes };
    } catch (error) {
      const isAway = error instanceof LongshoreError && error.code === "blobs_unavailable";
      if (!isAway || tries === TRIES) throw error;
      await delay(PAUSE_MS);
    }
  }
}

async function* piecesOf(content: Uint8Array): AsyncGenerator<Uint8Array> {
  yield content;
}
