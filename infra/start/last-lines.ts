import type { Readable } from "node:stream";
import { createInterface } from "node:readline";

/** Keeps the last lines of some streams, so that they never fill up and their end can be quoted. */
export class LastLines {
  static readonly #KEPT = 20;
  readonly #lines: string[] = [];

  constructor(...streams: readonly (Readable | null)[]) {
    for (const stream of streams) {
      if (stream === null) continue;
      createInterface({ input: stream }).on("line", (line) => {
        this.#lines.push(line);
        if (this.#lines.length > LastLines.#KEPT) this.#lines.shift();
      });
    }
  }

  get text(): string {
    return this.#lines.join("\n");
  }
}
