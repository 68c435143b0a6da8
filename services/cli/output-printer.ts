import { once } from "node:events";
import type { Writable } from "node:stream";

/**
 * Prints a stream of a job's program as it comes, once.
 *
 * When a worker is lost, the job is started again and writes from the beginning, which cannot be taken back from a pipe.
 * What the next attempt writes like the one before is therefore not printed again. One that writes something else is
 * printed whole, after all: its reader is told so.
 */
export class OutputPrinter {
  readonly #target: Writable;
  readonly #onDeviation: () => void;
  /** What was printed since the last deviation, all attempts together. */
  #printed: Buffer[] = [];
  /** What an earlier attempt had printed, and how much of that this one has written, too. */
  #earlier = Buffer.alloc(0);
  #agreed = 0;

  /** @param onDeviation called before something else than an earlier attempt's output is printed */
  constructor(target: Writable, onDeviation: () => void) {
    this.#target = target;
    this.#onDeviation = onDeviation;
  }

  /** Another attempt begins. */
  restart(): void {
    this.#earlier = Buffer.concat(this.#printed);
    this.#printed = [this.#earlier];
    this.#agreed = 0;
  }

  /** Prints what the program wrote next; resolves when more can be taken. */
  async write(bytes: Buffer): Promise<void> {
    const expected = this.#earlier.subarray(this.#agreed, this.#agreed + bytes.length);
    if (expected.equals(bytes.subarray(0, expected.length))) {
      this.#agreed += expected.length;
      await this.#print(bytes.subarray(expected.length));
      return;
    }
    this.#onDeviation();
    const begin = this.#earlier.subarray(0, this.#agreed);
    this.#earlier = Buffer.alloc(0);
    this.#agreed = 0;
    this.#printed = [];
    await this.#print(Buffer.concat([begin, bytes]));
  }

  async #print(bytes: Buffer): Promise<void> {
    if (bytes.length === 0) return;
    this.#printed.push(bytes);
    if (!this.#target.write(bytes)) await once(this.#target, "drain");
  }
}
