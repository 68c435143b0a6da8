import { availableParallelism } from "node:os";
import { ThreadPool } from "../../../images/thread-pool.ts";
import type { MergedSuite, MergeTask } from "./merge-task.ts";
import type { RunReading, RunTask } from "./run-task.ts";

export type Task =
  { readonly kind: "run"; readonly task: RunTask } | { readonly kind: "merge"; readonly task: MergeTask };

/** Reports of strangers are read at once so many; it takes cores from programs. */
const THREADS_MAX = 2;

const pool = new ThreadPool<Task, RunReading | MergedSuite>({
  module: new URL("thread.ts", import.meta.url),
  threadsMax: Math.min(THREADS_MAX, availableParallelism()),
});

/** Reads what a command has reported, in a thread: it may be a hundred thousand tests. */
export async function readRunInThread(task: RunTask, signal: AbortSignal): Promise<RunReading> {
  return (await pool.run({ kind: "run", task }, signal)) as RunReading;
}

/** Merges what all parts of a job have reported, in a thread. */
export async function mergeInThread(task: MergeTask, signal: AbortSignal): Promise<MergedSuite> {
  return (await pool.run({ kind: "merge", task }, signal)) as MergedSuite;
}
