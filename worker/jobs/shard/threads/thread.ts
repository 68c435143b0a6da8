/** What runs in a thread that reads reports. */
import { mergeSuite, type MergedSuite } from "./merge-task.ts";
import type { Task } from "./pool.ts";
import { readRun, type RunReading } from "./run-task.ts";

/** Executes one task. */
export default async function perform({ kind, task }: Task): Promise<RunReading | MergedSuite> {
  switch (kind) {
    case "run":
      return await readRun(task);
    case "merge":
      return await mergeSuite(task);
    default:
      return kind satisfies never;
  }
}
