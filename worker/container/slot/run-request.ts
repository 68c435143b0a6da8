import { closeSync, writeSync } from "node:fs";
import { O } from "../../linux/constants.ts";
import { mustCall } from "../../linux/libc.ts";
import { readSome } from "../../linux/pipe.ts";

/**
 * How the worker's main thread reaches a run whose slot is blocked in ppoll, to have it end or show its output: it
 * writes the number of the run into shared memory, then wakes the slot through an eventfd. The number makes a late
 * request harmless to the next run.
 */
export interface RunRequestChannel {
  /** One 32-bit number: the latest run that something was requested of. */
  readonly run: SharedArrayBuffer;
  /** An eventfd, valid in every thread of the process. */
  readonly wakeUp: number;
}

/** Opens a channel for one kind of request; the main thread keeps it for the life of a slot. */
export function openRunRequests(): RunRequestChannel {
  return {
    run: new SharedArrayBuffer(4),
    wakeUp: mustCall("eventfd2", 0, O.O_CLOEXEC | O.O_NONBLOCK),
  };
}

/** Makes the channel's request of a run, by its number; one that is over already is not affected. */
export function requestOfRun(channel: RunRequestChannel, run: number): void {
  Atomics.store(new Int32Array(channel.run), 0, run);
  const one = Buffer.alloc(8);
  one.writeBigUInt64LE(1n);
  writeSync(channel.wakeUp, one);
}

/** Closes the channel of a slot that has ended. */
export function closeRunRequests(channel: RunRequestChannel): void {
  closeSync(channel.wakeUp);
}

/** What is read of an eventfd. */
const counter = new Uint8Array(8);

/** One run's end of a channel, in the slot's thread. */
export class RunRequest {
  /** Readable when the request was made of some run: ask {@link answerWakeUp} whether it was this one. */
  readonly descriptor: number;
  readonly #requestedRun: Int32Array;
  readonly #run: number;

  constructor(channel: RunRequestChannel, run: number) {
    this.descriptor = channel.wakeUp;
    this.#requestedRun = new Int32Array(channel.run);
    this.#run = run;
  }

  /** It was made of this run. */
  isRequested(): boolean {
    return Atomics.load(this.#requestedRun, 0) === this.#run;
  }

  /**
   * Takes a wake-up out of the way, which may be an earlier run's.
   * @returns whether the request was made of this run; looked at after the wake-up is gone, so that none is missed
   */
  answerWakeUp(): boolean {
    readSome(this.descriptor, counter);
    return this.isRequested();
  }
}
