import { availableParallelism } from "node:os";
import { ThreadPool } from "../../../images/thread-pool.ts";
import type { Comparison, ComparisonResult } from "./compare-files.ts";

/** Comparisons at once: each is as fast as memory, and takes cores from programs that are being measured. */
const THREADS_MAX = 4;

const pool = new ThreadPool<Comparison, ComparisonResult>({
  module: new URL("thread.ts", import.meta.url),
  threadsMax: Math.min(THREADS_MAX, availableParallelism()),
});

/** Compares files in a thread, apart from those of the slots. @param signal stops it in the middle */
export function compareInThread(comparison: Comparison, signal?: AbortSignal): Promise<ComparisonResult> {
  return pool.run(comparison, signal);
}
