/**
 * Processes for work on what strangers made, which may take any time and any memory.
 *
 *   run ─▶ waits for a place ─▶ process ─┬─▶ answer ─▶ idle, until the next task or for a while
 *                                        └─▶ too long, too large, or nobody wants it: killed
 *
 * Threads would be at hand sooner, and their heaps have limits, too. But where V8 cannot stop what fills a heap, as in
 * `JSON.parse` or a spread, it ends the whole process: with a thread's heap, the worker and all that runs on it.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { Places } from "../../../../shared/places.ts";

/** The next task often comes soon, or not at all. */
const IDLE_MS = 5_000;

export interface ProcessLimits {
  /** From when the task has a process. */
  readonly wallTimeMs: number;
  /** Of the heap: contents of buffers are elsewhere, and have to be bounded by who makes them. */
  readonly heapBytes: number;
}

export interface ProcessPoolOptions {
  /** Calls `answerTasks`. */
  readonly module: URL;
  /** At least 1. */
  readonly processesMax: number;
  readonly limits: ProcessLimits;
}

/** What a process says. */
export type Message<Result> =
  /** What it is at, for whoever has to say what took too much. */
  | { readonly kind: "at"; readonly what: string }
  | { readonly kind: "done"; readonly result: Result }
  | { readonly kind: "failed"; readonly error: unknown };

/** A task took more than it may. Its process is ended, and nothing else. */
export class ProcessLimitError extends Error {
  override readonly name = "ProcessLimitError";
  /** What the process was at last, as far as it said so. */
  readonly at: string | undefined;

  constructor(limit: keyof ProcessLimits, limits: ProcessLimits, at: string | undefined) {
    const most = { wallTimeMs: `${limits.wallTimeMs / 1000} s`, heapBytes: `${limits.heapBytes} bytes of memory` };
    super(`takes more than ${most[limit]}`);
    this.at = at;
  }
}

/** A process without a task, and what waits for it to get none. */
interface Idle {
  readonly process: ChildProcess;
  readonly waiting: DisposableStack;
}

export class ProcessPool<Task, Result> {
  readonly #options: ProcessPoolOptions;
  readonly #places: Places;
  /** The last one to have been at work is the next one to be. */
  readonly #idle: Idle[] = [];

  constructor(options: ProcessPoolOptions) {
    this.#options = options;
    this.#places = new Places(options.processesMax);
  }

  /**
   * Performs a task in a process of its own, or waits while as many as may be are at work.
   * @param signal stops it in the middle. When the promise is settled, nothing of the task goes on
   * @throws when it is aborted, when the task throws, when its process ends, or a {@link ProcessLimitError}
   */
  async run(task: Task, signal: AbortSignal): Promise<Result> {
    using _place = await this.#places.enter(signal);
    const process = this.#take();
    try {
      const result = await this.#perform(process, task, signal);
      this.#keep(process);
      return result;
    } catch (error) {
      await end(process);
      throw error;
    }
  }

  async #perform(process: ChildProcess, task: Task, signal: AbortSignal): Promise<Result> {
    const { limits } = this.#options;
    const answer = Promise.withResolvers<Result>();
    let at: string | undefined;
    const hear = (message: Message<Result>): void => {
      if (message.kind === "at") at = message.what;
      else if (message.kind === "done") answer.resolve(message.result);
      else answer.reject(message.error);
    };
    const fail = (error: Error): void => answer.reject(error);
    const lose = (code: number | null, name: NodeJS.Signals | null): void => {
      // V8 aborts where there is no memory, and the kernel kills.
      const isFull = name === "SIGABRT" || name === "SIGKILL";
      const ending = `a process of the worker's ended by ${name ?? `exit code ${code}`}`;
      answer.reject(isFull ? new ProcessLimitError("heapBytes", limits, at) : new Error(ending));
    };
    process.on("message", hear).on("error", fail).on("exit", lose);
    using listeners = new DisposableStack();
    listeners.defer(() => process.off("message", hear).off("error", fail).off("exit", lose));
    const abort = (): void => answer.reject(signal.reason);
    signal.addEventListener("abort", abort);
    listeners.defer(() => signal.removeEventListener("abort", abort));
    const timer = setTimeout(() => answer.reject(new ProcessLimitError("wallTimeMs", limits, at)), limits.wallTimeMs);
    listeners.defer(() => clearTimeout(timer));
    process.send(task as object, (error) => {
      if (error !== null) answer.reject(error);
    });
    return await answer.promise;
  }

  #take(): ChildProcess {
    const idle = this.#idle.pop();
    if (idle !== undefined) {
      const { process, waiting } = idle;
      waiting.dispose();
      process.ref();
      process.channel?.ref();
      return process;
    }
    const { module, limits } = this.#options;
    return fork(fileURLToPath(module), {
      // The task and its answer are copied as between threads.
      serialization: "advanced",
      execArgv: [`--max-old-space-size=${Math.ceil(limits.heapBytes / 1024 ** 2)}`],
      // Nothing of the worker's configuration: there are secrets in it.
      env: {},
      // Not ended by a terminal's Ctrl-C, at which the worker lets its jobs finish.
      detached: true,
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
  }

  /** Keeps a process for the next task; the worker does not wait for it. */
  #keep(process: ChildProcess): void {
    process.unref();
    process.channel?.unref();
    const idle: Idle = { process, waiting: new DisposableStack() };
    const forget = (): void => {
      idle.waiting.dispose();
      this.#idle.splice(this.#idle.indexOf(idle), 1);
    };
    process.once("exit", forget);
    idle.waiting.defer(() => process.off("exit", forget));
    const timer = setTimeout(() => {
      forget();
      process.kill("SIGKILL");
    }, IDLE_MS);
    idle.waiting.adopt(timer.unref(), clearTimeout);
    this.#idle.push(idle);
  }
}

async function end(process: ChildProcess): Promise<void> {
  if (process.exitCode !== null || process.signalCode !== null || process.pid === undefined) return;
  const exit = once(process, "exit");
  process.kill("SIGKILL");
  await exit;
}
