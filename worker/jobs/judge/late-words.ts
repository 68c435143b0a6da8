import { closeSync, openSync } from "node:fs";
import { Socket } from "node:net";

/**
 * A second reader of a pipe, which leaves everything to the first one until that has ended: while it is there, writing to
 * the pipe breaks nothing.
 */
export class LateWords implements Disposable {
  readonly #descriptor: number;
  #state: "waiting" | "hearing" | "gone" = "waiting";
  #pipe: Socket | undefined;

  /** @param readEnd of the pipe; it stays whose it is */
  constructor(readEnd: number) {
    // Opened anew: that this reader does not wait is a flag of the open file, and would be the other one's, too.
    this.#descriptor = openSync(`/proc/self/fd/${readEnd}`, "r");
  }

  /** Takes what is written from now on, and keeps nothing of it. @param bytesMax who writes more, writes to nobody */
  hear(bytesMax: number): void {
    if (this.#state !== "waiting") return;
    this.#state = "hearing";
    // Not before: a socket of Node begins to read when it is made.
    this.#pipe = new Socket({ fd: this.#descriptor, readable: true, writable: false });
    let heard = 0;
    this.#pipe.on("error", () => undefined);
    this.#pipe.on("data", ({ byteLength }: Buffer) => {
      heard += byteLength;
      if (heard > bytesMax) this[Symbol.dispose]();
    });
  }

  /** Whoever writes from now on, writes to nobody. */
  [Symbol.dispose](): void {
    if (this.#state === "waiting") closeSync(this.#descriptor);
    this.#state = "gone";
    this.#pipe?.destroy();
  }
}
