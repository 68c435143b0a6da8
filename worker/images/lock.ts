/**
 * Locks between processes that share a data directory.
 *
 * flock(2) belongs to the open file description, so the kernel drops it when its holder dies, however it
 * dies: nothing is left to be swept. A call that waits would block its thread: `flock FD` of util-linux locks a
 * descriptor that it inherits and exits, and the description, which is ours too, stays locked until we close it.
 * The waiting happens in that child, never on this thread.
 *
 * Each job takes locks. What does not wait is done at once, on this thread: opening and locking take some microseconds,
 * a trip to Node's thread pool and back for each of them a hundred.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, fstatSync, futimesSync, openSync, statSync } from "node:fs";
import { type LockMode, tryFlock } from "../linux/flock.ts";

/** A lock that is held until it is disposed of or the process ends. The lock's file stays. */
export class FileLock implements AsyncDisposable {
  readonly #descriptor: number;
  #isHeld = true;

  private constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  /**
   * Waits until no other holder is left, or for a shared lock until no exclusive one is.
   * @throws when `signal` aborts the waiting, or the file cannot be opened
   */
  static async acquire(path: string, signal?: AbortSignal, mode: LockMode = "exclusive"): Promise<FileLock> {
    signal?.throwIfAborted();
    const descriptor = openSync(path, "a", 0o644);
    try {
      if (!tryFlock(descriptor, mode)) await waitForFlock(descriptor, mode, signal);
      return new FileLock(descriptor);
    } catch (error) {
      closeSync(descriptor);
      throw error;
    }
  }

  /** Takes the lock if it can be had, else answers undefined at once. */
  static async tryAcquire(path: string, mode: LockMode = "exclusive"): Promise<FileLock | undefined> {
    const descriptor = openSync(path, "a", 0o644);
    let isLocked = false;
    try {
      isLocked = tryFlock(descriptor, mode);
      return isLocked ? new FileLock(descriptor) : undefined;
    } finally {
      if (!isLocked) closeSync(descriptor);
    }
  }

  /** Whether the file that is locked is the one of this path, and not one that was there before. */
  isAt(path: string): boolean {
    const [own, there] = [fstatSync(this.#descriptor), statSync(path, { throwIfNoEntry: false })];
    return own.ino === there?.ino && own.dev === there.dev;
  }

  /** Notes the time in the mtime of the lock's file. */
  touch(): void {
    const now = new Date();
    futimesSync(this.#descriptor, now, now);
  }

  /** Disposing of it again does nothing: the descriptor may be another file's by then. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    closeSync(this.#descriptor);
  }
}

async function waitForFlock(descriptor: number, mode: LockMode, signal: AbortSignal | undefined): Promise<void> {
  const child = spawn("flock", [`--${mode}`, "3"], {
    stdio: ["ignore", "ignore", "ignore", descriptor],
    ...(signal && { signal }),
  });
  const [exitCode] = await once(child, "close");
  if (exitCode !== 0) throw new Error(`flock ended with exit code ${exitCode}`);
}
