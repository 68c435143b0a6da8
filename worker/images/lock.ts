/**
 * Locks between processes that share a data directory.
 *
 * flock(2) belongs to the open file description, so the kernel drops it when its holder dies, however it
 * dies: nothing is left to be swept. Node has no call for it; `flock FD` of util-linux locks a descriptor
 * that it inherits and exits, and the description, which is ours too, stays locked until we close it.
 * The waiting happens in that child, never on this thread.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { type FileHandle, open } from "node:fs/promises";

/** A lock that is held until it is disposed of or the process ends. The lock's file stays. */
export class FileLock implements AsyncDisposable {
  readonly #handle: FileHandle;

  private constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /**
   * Waits until no other holder is left.
   * @throws when `signal` aborts the waiting, or the file cannot be opened
   */
  static async acquire(path: string, signal?: AbortSignal): Promise<FileLock> {
    const lock = await FileLock.#lock(path, [], signal);
    if (lock === undefined) throw new Error(`flock on ${path} failed`);
    return lock;
  }

  /** Takes the lock if nobody holds it, else answers undefined at once. */
  static async tryAcquire(path: string): Promise<FileLock | undefined> {
    return FileLock.#lock(path, ["--nonblock"]);
  }

  static async #lock(path: string, options: string[], signal?: AbortSignal): Promise<FileLock | undefined> {
    const handle = await open(path, "a", 0o644);
    try {
      const child = spawn("flock", ["--exclusive", ...options, "3"], {
        stdio: ["ignore", "ignore", "ignore", handle.fd],
        ...(signal && { signal }),
      });
      const [exitCode] = await once(child, "close");
      if (exitCode === 0) return new FileLock(handle);
    } catch (error) {
      await handle.close();
      throw error;
    }
    await handle.close();
    return undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }
}
