import { availableParallelism } from "node:os";
import { Piscina } from "piscina";
import type { UnpackResult, UnpackTask } from "./unpack-layer.ts";

/** Layers unpacked at once. More would wait for the same disk. */
const THREADS_MAX = 4;

/** Threads are rarely needed, and the next image of many layers comes soon or not at all. */
const IDLE_MS = 5_000;

let pool: Piscina<UnpackTask, UnpackResult> | undefined;

/**
 * Unpacks a layer in a thread, apart from those of the slots; waits while as many as may be are at work.
 * @param signal stops it in the middle; what it has made stays
 */
export function unpackInThread(task: UnpackTask, signal?: AbortSignal): Promise<UnpackResult> {
  pool ??= new Piscina<UnpackTask, UnpackResult>({
    filename: new URL("thread.ts", import.meta.url).href,
    name: "default",
    minThreads: 0,
    maxThreads: Math.min(THREADS_MAX, availableParallelism()),
    concurrentTasksPerWorker: 1,
    idleTimeout: IDLE_MS,
    // Descriptors are opened and closed through the kernel's interface, which Node's book-keeping does not see.
    trackUnmanagedFds: false,
  });
  return pool.run(task, signal === undefined ? {} : { signal });
}
