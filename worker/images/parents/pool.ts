import { ThreadPool } from "../thread-pool.ts";
import type { ParentsTask } from "./make-parents.ts";

const pool = new ThreadPool<ParentsTask, void>({ module: new URL("thread.ts", import.meta.url), threadsMax: 1 });

/** Makes directories in a thread: a hostile image may imply many, and each is looked for in each of its layers. */
export function makeParentsInThread(task: ParentsTask): Promise<void> {
  return pool.run(task);
}
