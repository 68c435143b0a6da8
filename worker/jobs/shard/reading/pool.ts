import { availableParallelism } from "node:os";
import type { MergedSuite, MergeTask } from "./merge-task.ts";
import { ProcessLimitError, type ProcessLimits, ProcessPool } from "./process-pool.ts";
import { giveUpReading, type RunReading, type RunTask } from "./run-task.ts";

export type Task =
  { readonly kind: "run"; readonly task: RunTask } | { readonly kind: "merge"; readonly task: MergeTask };

/** Reports of strangers are read at once so many; it takes cores from programs. */
const PROCESSES_MAX = 2;

/** Processes that read reports, apart from the worker's own. */
export class ReportReaders {
  readonly #pool: ProcessPool<Task, RunReading | MergedSuite>;

  constructor(limits: ProcessLimits) {
    this.#pool = new ProcessPool({
      module: new URL("process.ts", import.meta.url),
      processesMax: Math.min(PROCESSES_MAX, availableParallelism()),
      limits,
    });
  }

  /** Reads what a command has reported. What cannot be read within the limits is a fault of the report. */
  async read(task: RunTask, signal: AbortSignal): Promise<RunReading> {
    try {
      return (await this.#pool.run({ kind: "run", task }, signal)) as RunReading;
    } catch (error) {
      if (!(error instanceof ProcessLimitError)) throw error;
      return await giveUpReading(task, error);
    }
  }

  /** Merges what all parts of a job have reported. @throws a {@link ProcessLimitError} where it is too much */
  async merge(task: MergeTask, signal: AbortSignal): Promise<MergedSuite> {
    return (await this.#pool.run({ kind: "merge", task }, signal)) as MergedSuite;
  }
}

/** With several times what the largest reports take that are within all other bounds, on a machine that is busy. */
export const reportReaders = new ReportReaders({ wallTimeMs: 120_000, heapBytes: 2 * 1024 ** 3 });
