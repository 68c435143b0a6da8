/** Large files that a job returns become blobs, held until the job itself expires: Redis is memory. */
import { createReadStream } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import type { Blobs, HeldBlob, Holder } from "../shared/blobs/blobs.ts";
import { LongshoreError } from "../shared/errors.ts";
import type { JobResult } from "../shared/job-result.ts";
import type { Ending, OutputContent } from "../shared/job-store.ts";
import { insist } from "./insist.ts";
import type { ReturnedFile } from "./jobs/result.ts";

/** Files up to this size stay in Redis, where they are read with one command; in bytes. */
const INLINE_BYTES_MAX = 1024 * 1024;

/** What became of a job's files; `errors` has those that could not be stored, by their paths. */
export interface StoredOutputs {
  readonly outputs: readonly OutputContent[];
  readonly errors: ReadonlyMap<string, string>;
}

/** A storage that is away for a moment is waited for. */
const TRIES = 3;
const PAUSE_MS = 1000;

/**
 * Stores the large ones of a job's files as blobs. What cannot be stored is an error in the result's list: the program
 * has run, and would not run differently another time.
 */
export async function storeLargeOutputs(
  job: { readonly result: JobResult; readonly outputs: readonly ReturnedFile[] },
  blobs: Blobs,
  holder: Holder,
): Promise<Pick<Extract<Ending, { state: "done" }>, "result" | "outputs">> {
  const { outputs, errors } = await storeOutputs(job.outputs, blobs, holder);
  if (errors.size === 0) return { result: job.result, outputs };
  const listed = job.result.outputs.map((entry) => {
    const error = errors.get(entry.path);
    return error === undefined ? entry : { path: entry.path, error };
  });
  return { result: { ...job.result, outputs: listed }, outputs };
}

/** Stores files that are larger than `inlineBytesMax` as blobs; what is one already stays as it is. */
export async function storeOutputs(
  files: readonly (ReturnedFile | OutputContent)[],
  blobs: Blobs,
  holder: Holder,
  inlineBytesMax = INLINE_BYTES_MAX,
): Promise<StoredOutputs> {
  const errors = new Map<string, string>();
  const outputs: OutputContent[] = [];
  for (const file of files) {
    try {
      outputs.push("blob" in file ? file : await store(file, blobs, holder, inlineBytesMax));
    } catch (error) {
      if (!(error instanceof LongshoreError)) throw error;
      errors.set(file.path, `cannot be stored: ${error.message}`);
    }
  }
  return { outputs, errors };
}

async function store(
  output: ReturnedFile,
  blobs: Blobs,
  holder: Holder,
  inlineBytesMax: number,
): Promise<OutputContent> {
  const { path } = output;
  if ("content" in output && output.content.byteLength <= inlineBytesMax) return output;
  const open = (): AsyncIterable<Uint8Array> =>
    "file" in output ? createReadStream(output.file) : piecesOf(output.content);
  const { digest, bytes } = await patiently(() => blobs.put(open(), holder));
  return { path, blob: digest, bytes };
}

async function patiently(put: () => Promise<HeldBlob>): Promise<HeldBlob> {
  for (let tries = 1; ; tries++) {
    try {
      return await insist(put);
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
