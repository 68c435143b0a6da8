import { ThreadPool } from "../thread-pool.ts";
import type { SettleResult, SettleTask } from "./settle.ts";

const pool = new ThreadPool<SettleTask, SettleResult>({
  module: new URL("thread.ts", import.meta.url),
  // It is the disk that takes the time.
  threadsMax: 2,
});

/**
 * Makes an upper directory whose container is gone the directory of a layer, in a thread: there may be many files.
 * @param signal stops it in the middle; the directory is then of no use
 */
export function settleInThread(task: SettleTask, signal?: AbortSignal): Promise<SettleResult> {
  return pool.run(task, signal);
}
