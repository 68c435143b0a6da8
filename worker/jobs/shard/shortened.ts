import type { OutputStream, RunResult } from "../../container/spec.ts";

/** What of each stream of a container is in the result of a job, in bytes. */
export const KEPT_BYTES = 16 * 1024;

/** What a container did, with the beginning of what it printed. */
export function shortened(result: RunResult): RunResult {
  return { ...result, stdout: shorten(result.stdout), stderr: shorten(result.stderr) };
}

/** The beginning of a stream. */
export function shorten({ content, truncated }: OutputStream): OutputStream {
  return {
    content: content.subarray(0, KEPT_BYTES),
    truncated: truncated || content.byteLength > KEPT_BYTES,
  };
}
