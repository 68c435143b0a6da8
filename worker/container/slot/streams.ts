import { writeSync } from "node:fs";
import { readSome } from "../../linux/pipe.ts";
import type { OutputStream } from "../spec.ts";

/** The least that is taken to keep what is written. */
const ROOM_MIN = 1024;
/** A pipe holds 64 KiB; a program that refills it as fast as it is read must not keep the slot from its clocks. */
const READS_AT_ONCE = 16;

/** What is read goes through here: most programs write nothing, or little, and no room is taken for more. */
const piece = new Uint8Array(64 * 1024);
const NOTHING = new Uint8Array();

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
  /** Room for what is kept, and its first bytes. */
  #kept: Uint8Array<ArrayBuffer> = NOTHING;
  #bytes = 0;
  #truncated = false;

  constructor(descriptor: number, { limitBytes, keptBytes = limitBytes, copyTo }: StreamLimits) {
    this.#descriptor = descriptor;
    this.#limit = limitBytes;
    this.#keptMax = Math.min(limitBytes, keptBytes);
    this.#copyTo = copyTo;
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
    return this.#kept.slice(from, Math.min(to, this.bytes));
  }

  /** Takes what can be read now; answers whether more may come. */
  take(): "more" | "end" {
    for (let reads = 0; reads < READS_AT_ONCE; reads++) {
      const left = this.#limit - this.#bytes;
      // At the limit, whatever comes shows that there is too much.
      const length = readSome(this.#descriptor, left === 0 ? piece : piece.subarray(0, left));
      if (length <= 0) return length === 0 ? "end" : "more";
      const written = piece.subarray(0, length);
      if (this.#copyTo !== undefined) writeWhole(this.#copyTo, written);
      if (left === 0) {
        this.#truncated = true;
        return "more";
      }
      this.#keep(written);
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
    const content = this.#kept.slice(0, this.bytes);
    return { content, truncated: this.#truncated || this.#bytes > this.#keptMax };
  }

  /** Keeps what was written next, as far as it is to be kept. */
  #keep(written: Uint8Array): void {
    const before = this.bytes;
    this.#bytes += written.byteLength;
    const after = this.bytes;
    if (after > this.#kept.byteLength) {
      const room = Math.max(after, this.#kept.byteLength * 2, ROOM_MIN);
      const grown = new Uint8Array(Math.min(this.#keptMax, room));
      grown.set(this.#kept);
      this.#kept = grown;
    }
    this.#kept.set(written.subarray(0, after - before), before);
  }
}

function writeWhole(descriptor: number, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.byteLength;) written += writeSync(descriptor, bytes, written);
}
