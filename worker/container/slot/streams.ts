import { writeSync } from "node:fs";
import { readSome } from "../../linux/pipe.ts";
import type { OutputStream } from "../spec.ts";

const FIRST_ROOM = 4096;
/** A pipe holds 64 KiB; a program that refills it as fast as it is read must not keep the slot from its clocks. */
const READS_AT_ONCE = 16;

const excess = Buffer.alloc(64 * 1024);

/** What becomes of a stream. */
export interface StreamLimits {
  /** What may be written. */
  readonly limitBytes: number;
  /** What is kept of it, from its beginning; all unless given. */
  readonly keptBytes?: number | undefined;
  /** A descriptor that gets all of it as well, at once. */
  readonly copyTo?: number | undefined;
}

/** What a program writes to one of its streams, up to a limit: memory is at most twice what is kept. */
export class OutputCollector {
  readonly #descriptor: number;
  readonly #limit: number;
  readonly #keptMax: number;
  readonly #copyTo: number | undefined;
  #kept: Buffer;
  #bytes = 0;
  #truncated = false;

  constructor(descriptor: number, { limitBytes, keptBytes = limitBytes, copyTo }: StreamLimits) {
    this.#descriptor = descriptor;
    this.#limit = limitBytes;
    this.#keptMax = Math.min(limitBytes, keptBytes);
    this.#copyTo = copyTo;
    this.#kept = Buffer.alloc(Math.min(this.#keptMax, FIRST_ROOM));
  }

  /** More was written than the limit allows. */
  get truncated(): boolean {
    return this.#truncated;
  }

  /** Bytes kept so far. */
  get bytes(): number {
    return Math.min(this.#bytes, this.#keptMax);
  }

  /** A copy of some of what was kept, from one offset to before another. */
  copy(from: number, to: number): Uint8Array<ArrayBuffer> {
    return Uint8Array.from(this.#kept.subarray(from, Math.min(to, this.bytes)));
  }

  /** Takes what can be read now; answers whether more may come. */
  take(): "more" | "end" {
    for (let reads = 0; reads < READS_AT_ONCE; reads++) {
      const room = this.#room();
      const length = readSome(this.#descriptor, room);
      if (length <= 0) return length === 0 ? "end" : "more";
      if (this.#copyTo !== undefined) writeWhole(this.#copyTo, room.subarray(0, length));
      if (this.#bytes === this.#limit) {
        this.#truncated = true;
        return "more";
      }
      this.#bytes += length;
    }
    return "more";
  }

  /** Takes what is left when nobody writes any more. */
  takeRest(): void {
    // Nothing there is the end, too: a descriptor may be on its way to another child of the worker's for a moment.
    for (let before = -1; before !== this.#bytes && !this.#truncated;) {
      before = this.#bytes;
      this.take();
    }
  }

  /** What was kept, and whether that is all. */
  result(): OutputStream {
    // A copy of the right size: a view would take all of its buffer along to the next thread.
    const content = Uint8Array.from(this.#kept.subarray(0, this.bytes));
    return { content, truncated: this.#truncated || this.#bytes > this.#keptMax };
  }

  /** Where to read to: behind what was kept, or beyond it a place for what is not, or shows that there is too much. */
  #room(): Buffer {
    if (this.#bytes === this.#limit) return excess;
    if (this.#bytes >= this.#keptMax) return excess.subarray(0, this.#limit - this.#bytes);
    if (this.#bytes === this.#kept.byteLength) {
      const grown = Buffer.alloc(Math.min(this.#keptMax, this.#kept.byteLength * 2));
      this.#kept.copy(grown);
      this.#kept = grown;
    }
    return this.#kept.subarray(this.#bytes);
  }
}

function writeWhole(descriptor: number, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.byteLength;) written += writeSync(descriptor, bytes, written);
}
