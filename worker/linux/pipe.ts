import { closeSync } from "node:fs";
import { FCNTL, O } from "./constants.ts";
import { mustCall, systemCall } from "./libc.ts";
import { SystemCallError } from "./errno.ts";

const EAGAIN = 11;
const EINTR = 4;

/** Both ends of a pipe of 64 KiB, which are close-on-exec and block. */
export interface PipeEnds {
  readonly readEnd: number;
  readonly writeEnd: number;
}

/** Opens a pipe (pipe2(2)); the caller closes its ends. */
export function openPipeEnds(): PipeEnds {
  const ends = Buffer.alloc(8);
  mustCall("pipe2", ends, O.O_CLOEXEC);
  return { readEnd: ends.readInt32LE(0), writeEnd: ends.readInt32LE(4) };
}

/** A pipe that is close-on-exec; disposing closes what is still open of it. */
export class Pipe implements Disposable {
  readonly readEnd: number;
  #writeEnd: number | undefined;

  private constructor(readEnd: number, writeEnd: number) {
    this.readEnd = readEnd;
    this.#writeEnd = writeEnd;
  }

  /** Opens a pipe of 64 KiB: reading answers at once, writing waits for room as programs expect. */
  static open(): Pipe {
    const { readEnd, writeEnd } = openPipeEnds();
    const pipe = new Pipe(readEnd, writeEnd);
    mustCall("fcntl", pipe.readEnd, FCNTL.F_SETFL, O.O_NONBLOCK);
    return pipe;
  }

  /** The end to be inherited by the writer. */
  get writeEnd(): number {
    if (this.#writeEnd === undefined) throw new Error("the write end of this pipe is closed");
    return this.#writeEnd;
  }

  /** Closes our copy of the write end, so that the reader sees the end when the last writer is gone. */
  closeWriteEnd(): void {
    if (this.#writeEnd !== undefined) closeSync(this.#writeEnd);
    this.#writeEnd = undefined;
  }

  [Symbol.dispose](): void {
    this.closeWriteEnd();
    closeSync(this.readEnd);
  }
}

/**
 * Reads what is there, without an exception for "nothing yet".
 * @returns the number of bytes, 0 at the end, -1 when nothing can be read now
 */
export function readSome(descriptor: number, buffer: Uint8Array): number {
  let result: number;
  do result = systemCall("read", descriptor, buffer, buffer.byteLength);
  while (result === -EINTR);
  if (result === -EAGAIN) return -1;
  if (result < 0) throw new SystemCallError("read", -result);
  return result;
}
