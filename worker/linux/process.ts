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

// Reused: no call lasts longer than itself, and every thread has its own module.
const information = Buffer.alloc(SIGINFO_BYTES);
const resources = Buffer.alloc(RUSAGE_BYTES);

/** Waits for a child that is ending and reaps it. */
export function reap(pid: number): Reaped {
  return awaitChild(pid, WAIT.WEXITED);
}

function awaitChild(pid: number, options: number): Reaped {
  let result: number;
  do result = systemCall("waitid", WAIT.P_PID, pid, information, options, resources);
  while (result === -EINTR);
  if (result < 0) throw new SystemCallError("waitid", -result);
  return {
    // siginfo_t: si_code at 8, si_status at 24 (waitid(2)).
    exitCode: information.readInt32LE(8) === CLD_EXITED ? information.readInt32LE(24) : undefined,
    // struct rusage: two timevals, then ru_maxrss in KiB (getrusage(2)).
    maxRssBytes: Number(resources.readBigInt64LE(32)) * 1024,
  };
}

/** A child of this process. Disposing of it reaps it, and kills it before if nobody has waited for it. */
export class ChildProcess implements Disposable {
  /** A pidfd: readable once the process has ended. */
  readonly descriptor: number;
  readonly pid: number;
  #hasEnded = false;

  constructor(pid: number) {
    this.pid = pid;
    this.descriptor = openProcess(pid);
  }

  /** Sends SIGKILL; a process that has ended is left alone. */
  kill(): void {
    signalProcess(this.descriptor, SIGNAL.SIGKILL);
  }

  /** Whether it has ended. */
  hasEnded(): boolean {
    const result = systemCall("waitid", WAIT.P_PID, this.pid, information, WAIT.WEXITED | WAIT.WNOHANG | WAIT.WNOWAIT);
    if (result < 0) throw new SystemCallError("waitid", -result);
    // siginfo_t: si_pid at 16, 0 for nobody.
    return information.readInt32LE(16) !== 0;
  }

  /** Waits until it has ended. It is reaped when it is disposed of: the kernel has a lot to take away then. */
  awaitEnd(): Reaped {
    const account = awaitChild(this.pid, WAIT.WEXITED | WAIT.WNOWAIT);
    this.#hasEnded = true;
    return account;
  }

  [Symbol.dispose](): void {
    if (!this.#hasEnded) this.kill();
    reap(this.pid);
    closeSync(this.descriptor);
  }
}

/**
 * A set of descriptors to wait on (ppoll(2)), kept between calls so that a wait allocates nothing.
 * Entries are addressed by the index that `add` returned.
 */
export class PollSet {
  /** `struct pollfd`: the descriptor, and in a second word the events that are wanted, and above them those that came. */
  readonly #entries: Int32Array;
  readonly #bytes: Uint8Array;
  /** `struct timespec`, as halves of its words. */
  readonly #timeout = new Uint32Array(4);
  readonly #timeoutBytes = new Uint8Array(this.#timeout.buffer);
  #size = 0;

  constructor(capacity: number) {
    this.#entries = new Int32Array(capacity * 2);
    this.#bytes = new Uint8Array(this.#entries.buffer);
  }

  /** Waits for `descriptor` to be readable, from now on. */
  add(descriptor: number): number {
    const index = this.#size++;
    this.replace(index, descriptor);
    return index;
  }

  /** Stops waiting for an entry; the kernel skips negative descriptors. */
  ignore(index: number): void {
    this.replace(index, -1);
  }

  /** Waits for another descriptor in the place of an entry's. */
  replace(index: number, descriptor: number): void {
    this.#entries[index * 2] = descriptor;
    this.#entries[index * 2 + 1] = POLL.POLLIN;
  }

  /** Something can be read from the entry, or its other end is gone. */
  isReady(index: number): boolean {
    return this.#received(index) !== 0;
  }

  /** Something can be read from the entry, whether or not its other end is gone. */
  hasInput(index: number): boolean {
    return (this.#received(index) & POLL.POLLIN) !== 0;
  }

  /** Blocks until an entry is ready or `milliseconds` (fractions allowed, Infinity for ever) have passed. */
  wait(milliseconds: number): void {
    const forever = milliseconds === Infinity;
    if (!forever) {
      const seconds = Math.floor(Math.max(0, milliseconds) / 1000);
      this.#timeout[0] = seconds;
      this.#timeout[2] = (Math.max(0, milliseconds) - seconds * 1000) * 1e6;
    }
    const result = systemCall("ppoll", this.#bytes, this.#size, forever ? 0 : this.#timeoutBytes);
    // Interrupted, nothing is ready: the caller looks at its deadlines and comes back.
    if (result === -EINTR) for (let index = 0; index < this.#size; index++) this.#forget(index);
    else if (result < 0) throw new SystemCallError("ppoll", -result);
  }

  #received(index: number): number {
    return (this.#entries[index * 2 + 1] ?? 0) >>> 16;
  }

  #forget(index: number): void {
    this.#entries[index * 2 + 1] = POLL.POLLIN;
  }
}
