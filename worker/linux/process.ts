import { closeSync } from "node:fs";
import { POLL, SIGNAL, WAIT } from "./constants.ts";
import { SystemCallError } from "./errno.ts";
import { mustCall, systemCall } from "./libc.ts";

const EINTR = 4;
const ESRCH = 3;
const SIGINFO_BYTES = 128;
const RUSAGE_BYTES = 144;
const CLD_EXITED = 1;

/** A close-on-exec descriptor of a process (pidfd_open(2)): readable once the process has ended. */
export function openProcess(pid: number): number {
  return mustCall("pidfd_open", pid);
}

/** Sends a signal through a pidfd; a process that has ended is left alone. */
function signalProcess(pidfd: number, signal: number): void {
  const result = systemCall("pidfd_send_signal", pidfd, signal);
  if (result < 0 && result !== -ESRCH) throw new SystemCallError("pidfd_send_signal", -result);
}

/** How a child ended, and what it, and the children it waited for, used. */
export interface Reaped {
  /** 0 to 255; undefined when a signal ended it. */
  readonly exitCode: number | undefined;
  /** Resident set of the largest of them. */
  readonly maxRssBytes: number;
}

/** Waits for a child that is ending and reaps it. */
export function reap(pid: number): Reaped {
  const information = Buffer.alloc(SIGINFO_BYTES);
  const resources = Buffer.alloc(RUSAGE_BYTES);
  let result: number;
  do result = systemCall("waitid", WAIT.P_PID, pid, information, WAIT.WEXITED, resources);
  while (result === -EINTR);
  if (result < 0) throw new SystemCallError("waitid", -result);
  return {
    // siginfo_t: si_code at 8, si_status at 24 (waitid(2)).
    exitCode: information.readInt32LE(8) === CLD_EXITED ? information.readInt32LE(24) : undefined,
    // struct rusage: two timevals, then ru_maxrss in KiB (getrusage(2)).
    maxRssBytes: Number(resources.readBigInt64LE(32)) * 1024,
  };
}

/** A child of this process. Disposing of one that nobody has waited for kills and reaps it. */
export class ChildProcess implements Disposable {
  /** A pidfd: readable once the process has ended. */
  readonly descriptor: number;
  readonly pid: number;
  #isReaped = false;

  constructor(pid: number) {
    this.pid = pid;
    this.descriptor = openProcess(pid);
  }

  /** Sends SIGKILL; a process that has ended is left alone. */
  kill(): void {
    signalProcess(this.descriptor, SIGNAL.SIGKILL);
  }

  /** Waits until it has ended, and reaps it. */
  reap(): Reaped {
    const reaped = reap(this.pid);
    this.#isReaped = true;
    return reaped;
  }

  [Symbol.dispose](): void {
    if (!this.#isReaped) {
      this.kill();
      this.reap();
    }
    closeSync(this.descriptor);
  }
}

/**
 * A set of descriptors to wait on (ppoll(2)), kept between calls so that a wait allocates nothing.
 * Entries are addressed by the index that `add` returned.
 */
export class PollSet {
  readonly #entries: Buffer;
  readonly #timeout = Buffer.alloc(16);
  #size = 0;

  constructor(capacity: number) {
    this.#entries = Buffer.alloc(capacity * 8);
  }

  /** Waits for `descriptor` to be readable, from now on. */
  add(descriptor: number): number {
    const index = this.#size++;
    this.#entries.writeInt32LE(descriptor, index * 8);
    this.#entries.writeInt16LE(POLL.POLLIN, index * 8 + 4);
    return index;
  }

  /** Stops waiting for an entry; the kernel skips negative descriptors. */
  ignore(index: number): void {
    this.replace(index, -1);
  }

  /** Waits for another descriptor in the place of an entry's. */
  replace(index: number, descriptor: number): void {
    this.#entries.writeInt32LE(descriptor, index * 8);
    this.#entries.writeInt16LE(0, index * 8 + 6);
  }

  /** Something can be read from the entry, or its other end is gone. */
  isReady(index: number): boolean {
    return this.#entries.readInt16LE(index * 8 + 6) !== 0;
  }

  /** Something can be read from the entry, whether or not its other end is gone. */
  hasInput(index: number): boolean {
    return (this.#entries.readInt16LE(index * 8 + 6) & POLL.POLLIN) !== 0;
  }

  /** Blocks until an entry is ready or `milliseconds` (fractions allowed, Infinity for ever) have passed. */
  wait(milliseconds: number): void {
    const forever = milliseconds === Infinity;
    if (!forever) {
      const whole = Math.floor(Math.max(0, milliseconds) / 1000);
      this.#timeout.writeBigInt64LE(BigInt(whole), 0);
      this.#timeout.writeBigInt64LE(BigInt(Math.floor((Math.max(0, milliseconds) - whole * 1000) * 1e6)), 8);
    }
    const result = systemCall("ppoll", this.#entries, this.#size, forever ? 0 : this.#timeout);
    // Interrupted, nothing is ready: the caller looks at its deadlines and comes back.
    if (result === -EINTR)
      for (let index = 0; index < this.#size; index++) this.#entries.writeInt16LE(0, index * 8 + 6);
    else if (result < 0) throw new SystemCallError("ppoll", -result);
  }
}
