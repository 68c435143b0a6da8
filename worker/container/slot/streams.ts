import { writeSync } from "node:fs";
import type { OutputStream } from "../spec.ts";
import { readSome } from "../../linux/pipe.ts";

const READ_BYTES = 64 * 1024;
const buffer = Buffer.alloc(READ_BYTES);

/** What a program writes to one of its streams, up to a limit. */
export class OutputCollector {
  readonly #descriptor: number;
  readonly #limit: number;
  readonly #copyTo: number | undefined;
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
  #truncated = false;

  /** @param copyTo a descriptor that gets all of it as well, at once */
  constructor(descriptor: number, limitBytes: number, copyTo?: number) {
    this.#descriptor = descriptor;
    this.#limit = limitBytes;
    this.#copyTo = copyTo;
  }

  /** More was written than the limit allows. */
  get truncated(): boolean {
    return this.#truncated;
  }

  /** Takes what can be read now; answers whether more may come. */
  take(): "more" | "end" {
    for (;;) {
      const length = readSome(this.#descriptor, buffer);
      if (length <= 0) return length === 0 ? "end" : "more";
      const kept = Math.min(length, this.#limit - this.#bytes);
      if (kept > 0) this.#chunks.push(Buffer.from(buffer.subarray(0, kept)));
      if (this.#copyTo !== undefined) writeWhole(this.#copyTo, buffer.subarray(0, length));
      this.#bytes += kept;
      if (kept < length) this.#truncated = true;
      // A flood must not keep the slot from looking at its clocks.
      if (this.#truncated) return "more";
    }
  }

  /** What was kept, and whether that is all. */
  result(): OutputStream {
    return { content: Buffer.concat(this.#chunks), truncated: this.#truncated };
  }
}

function writeWhole(descriptor: number, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.byteLength;) written += writeSync(descriptor, bytes, written);
}
