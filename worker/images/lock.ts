/**
 * Locks between processes that share a data directory.
 *
 * flock(2) belongs to the open file description, so the kernel drops it when its holder dies, however it
 * dies: nothing is left to be swept. A call that waits would block its thread: `flock FD` of util-linux locks a
 * descriptor that it inherits and exits, and the description, which is ours too, stays locked until we close it.
 * The waiting happens in that child, never on this thread.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { type FileHandle, open, stat } from "node:fs/promises";
import { type LockMode, tryFlock } from "../linux/flock.ts";

/** A lock that is held until it is disposed of or the process ends. The lock's file stays. */
export class FileLock implements AsyncDisposable {
  readonly #handle: FileHandle;

  private constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /**
   * Waits until no other holder is left, or for a shared lock until no exclusive one is.
   * @throws when `signal` aborts the waiting, or the file cannot be opened
   */
  static async acquire(path: string, signal?: AbortSignal, mode: LockMode = "exclusive"): Promise<FileLock> {
    signal?.throwIfAborted();
    const handle = await open(path, "a", 0o644);
    try {
      if (!tryFlock(handle.fd, mode)) await waitForFlock(handle.fd, mode, signal);
      return new FileLock(handle);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** Takes the lock if it can be had, else answers undefined at once. */
  static async tryAcquire(path: string, mode: LockMode = "exclusive"): Promise<FileLock | undefined> {
    const handle = await open(path, "a", 0o644);
    try {
      if (tryFlock(handle.fd, mode)) return new FileLock(handle);
    } catch (error) {
      await handle.close();
      throw error;
    }
    await handle.close();
    return undefined;
  }

  /** Whether the file that is locked is the one of this path, and not one that was there before. */
  async isAt(path: string): Promise<boolean> {
    const [own, there] = await Promise.all([this.#handle.stat(), stat(path).catch(() => undefined)]);
    return own.ino === there?.ino && own.dev === there.dev;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
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
