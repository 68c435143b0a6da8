import type { Message } from "./process-pool.ts";

/** Says what a task is at, in case that it takes too much. */
export type Tell = (what: string) => void;

/** Performs the tasks of a pool of processes in this one, until the pool's process is gone. */
export function answerTasks(perform: (task: unknown, tell: Tell) => Promise<unknown>): void {
  const send = (message: Message<unknown>): void => {
    if (process.connected) process.send?.(message);
  };
  process.on("message", (task: unknown) => {
    perform(task, (what) => send({ kind: "at", what })).then(
      (result) => send({ kind: "done", result }),
      (error: unknown) => send({ kind: "failed", error }),
    );
  });
  process.on("disconnect", () => process.exit());
  // Who stops the service's processes all at once leaves it to the worker which of them it still needs.
  process.on("SIGTERM", () => {});
}
