/** What runs in a process that reads reports. */
import { answerTasks } from "./answer-tasks.ts";
import { mergeSuite, type MergedSuite } from "./merge-task.ts";
import type { Task } from "./pool.ts";
import { readRun, type RunReading } from "./run-task.ts";

answerTasks(async (message, tell): Promise<RunReading | MergedSuite> => {
  const { kind, task } = message as Task;
  switch (kind) {
    case "run":
      return await readRun(task, tell);
    case "merge":
      return await mergeSuite(task);
    default:
      return kind satisfies never;
  }
});
