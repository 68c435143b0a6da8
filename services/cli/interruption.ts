/** Ways to tell us that nobody wants a job any more. */
import { EventEmitter } from "node:events";
import { exitCodes } from "./exit-codes.ts";

const readers = new EventEmitter<{ gone: [] }>();
let isReaderGone = false;

/**
 * A reader that goes away, as in `longshore run … | head`, has enough: a job that is waited for is interrupted, and
 * anything else ends here. To be called once, before anything is printed.
 */
export function endWithReader(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") throw error;
      // What was still to be printed fails, too, while the job is being canceled.
      if (isReaderGone) return;
      isReaderGone = true;
      if (!readers.emit("gone")) process.exit(exitCodes.success);
    });
  }
}

/** Says when our user wants no more: by a signal, or as the reader of our output has gone. */
export class Interruption implements Disposable {
  readonly #controller = new AbortController();
  readonly #interrupt = (): void => this.#controller.abort();

  constructor() {
    // Not only once: whoever restores the cursor when we are ended would take it for that, if nobody else listened any more.
    process.on("SIGINT", this.#interrupt).on("SIGTERM", this.#interrupt);
    readers.once("gone", this.#interrupt);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Whether there is somebody to print for. */
  get isHeard(): boolean {
    return !isReaderGone;
  }

  [Symbol.dispose](): void {
    process.off("SIGINT", this.#interrupt).off("SIGTERM", this.#interrupt);
    readers.off("gone", this.#interrupt);
  }
}
