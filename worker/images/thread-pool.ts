/**
 * Threads for work that would block the main one: as many as are needed, none while there is nothing to do.
 *
 *   run ─▶ waits for a place ─▶ Piscina ─▶ thread
 *
 * Piscina is handed no more tasks than it may have threads. What waits in its own queue can be forgotten there: when
 * a thread ends with its task, aborted or crashed, Piscina begins another one for the next new task only; and when a
 * thread cannot even begin, no task fails with it.
 */
import { Piscina } from "piscina";
import { Places } from "../../shared/places.ts";

/** The next task often comes soon, or not at all. */
const IDLE_MS = 5_000;

export interface ThreadPoolOptions {
  /** Its default export performs a task. */
  readonly module: URL;
  /** At least 1. */
  readonly threadsMax: number;
}

/** Threads that have begun with one module, and why they are not used any more. */
interface Crew<Task, Result> {
  readonly threads: Piscina<Task, Result>;
  failure?: unknown;
}

export class ThreadPool<Task, Result> {
  readonly #options: ThreadPoolOptions;
  readonly #places: Places;
  #crew: Crew<Task, Result> | undefined;

  constructor(options: ThreadPoolOptions) {
    this.#options = options;
    this.#places = new Places(options.threadsMax);
  }

  /**
   * Performs a task in a thread of its own, or waits while as many as may be are at work.
   * @param signal stops it in the middle, and ends its thread
   * @throws when it is aborted, when the task throws, or when its thread cannot begin; other tasks may fail with that one
   */
  async run(task: Task, signal?: AbortSignal): Promise<Result> {
    using _place = await this.#places.enter(signal);
    const crew = (this.#crew ??= this.#open());
    try {
      return await crew.threads.run(task, signal === undefined ? {} : { signal });
    } catch (error) {
      signal?.throwIfAborted();
      throw crew.failure ?? error;
    }
  }

  #open(): Crew<Task, Result> {
    const threads = new Piscina<Task, Result>({
      filename: this.#options.module.href,
      name: "default",
      minThreads: 0,
      maxThreads: this.#options.threadsMax,
      concurrentTasksPerWorker: 1,
      idleTimeout: IDLE_MS,
      // Descriptors are opened and closed through the kernel's interface, which Node's book-keeping does not see.
      trackUnmanagedFds: false,
    });
    const crew: Crew<Task, Result> = { threads };
    threads.on("error", (error: unknown) => {
      crew.failure ??= error;
      if (this.#crew === crew) this.#crew = undefined;
      void threads.destroy();
    });
    return crew;
  }
}
