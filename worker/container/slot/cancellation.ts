import { closeSync, readSync, writeSync } from "node:fs";
import { O } from "../../linux/constants.ts";
import { mustCall } from "../../linux/libc.ts";

/**
 * How the worker's main thread reaches a slot that is blocked in ppoll: it writes the number of the run into shared
 * memory, then wakes the slot through an eventfd. The number makes a late cancellation harmless to the next run.
 */
export interface CancellationChannel {
  /** One 32-bit number: the latest run to be canceled. */
  readonly canceledRun: SharedArrayBuffer;
  /** An eventfd, valid in every thread of the process. */
  readonly wakeUp: number;
}

/** Opens a channel; the main thread keeps it for the life of a slot. */
export function openCancellationChannel(): CancellationChannel {
  return {
    canceledRun: new SharedArrayBuffer(4),
    wakeUp: mustCall("eventfd2", 0, O.O_CLOEXEC | O.O_NONBLOCK),
  };
}

/** Cancels a run by its number; one that is over already is not affected. */
export function requestCancellation(channel: CancellationChannel, run: number): void {
  Atomics.store(new Int32Array(channel.canceledRun), 0, run);
  const one = Buffer.alloc(8);
  one.writeBigUInt64LE(1n);
  writeSync(channel.wakeUp, one);
}

/** Closes the channel of a slot that has ended. */
export function closeCancellationChannel(channel: CancellationChannel): void {
  closeSync(channel.wakeUp);
}

/** One run's end of the channel, in the slot's thread. */
export class Cancellation {
  /** Readable when some run was canceled: ask {@link isRequested} whether it was this one. */
  readonly descriptor: number;
  readonly #canceledRun: Int32Array;
  readonly #run: number;

  constructor(channel: CancellationChannel, run: number) {
    this.descriptor = channel.wakeUp;
    this.#canceledRun = new Int32Array(channel.canceledRun);
    this.#run = run;
    this.#drain();
  }

  /** This run is to end. */
  isRequested(): boolean {
    return Atomics.load(this.#canceledRun, 0) === this.#run;
  }

  /** Takes an earlier run's wake-up out of the way; the number is what counts, and it is looked at after this. */
  #drain(): void {
    try {
      readSync(this.descriptor, Buffer.alloc(8));
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EAGAIN")) throw error;
    }
  }
}
