import { availableParallelism } from "node:os";
import { ThreadPool } from "../thread-pool.ts";
import type { UnpackResult, UnpackTask } from "./unpack-layer.ts";

/** Layers unpacked at once. More would wait for the same disk. */
const THREADS_MAX = 4;

const pool = new ThreadPool<UnpackTask, UnpackResult>({
  module: new URL("thread.ts", import.meta.url),
  threadsMax: Math.min(THREADS_MAX, availableParallelism()),
});

/**
 * Unpacks a layer in a thread, apart from those of the slots; waits while as many as may be are at work.
 * @param signal stops it in the middle; what it has made stays
 */
export function unpackInThread(task: UnpackTask, signal?: AbortSignal): Promise<UnpackResult> {
  return pool.run(task, signal);
}
