import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, hexOf, isDigest } from "./digest.ts";
import { FileLock } from "./lock.ts";

/**
 * Which images are in use, and when they were last: a file for each, named by the manifest's digest.
 *
 * Whoever uses an image holds a shared lock on its file; who wants to remove it tries the exclusive one. The kernel
 * keeps the books, across processes, and nobody who died still counts. The file's mtime is when it was last used.
 */
export class LeaseStore {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static async open(directory: string): Promise<LeaseStore> {
    await mkdir(directory, { recursive: true });
    return new LeaseStore(directory);
  }

  /** Marks an image as used, now and until the answer is disposed of. */
  async take(image: Digest): Promise<AsyncDisposable> {
    const path = this.#pathOf(image);
    for (;;) {
      const lock = await FileLock.acquire(path, undefined, "shared");
      // The lock may be on a file that was removed while it was waited for: nobody would see it.
      if (lock.isAt(path)) {
        lock.touch();
        return lock;
      }
      await lock[Symbol.asyncDispose]();
    }
  }

  /** Makes sure that an image is not in use until the answer is disposed of; undefined when it is. */
  async tryKeepOut(image: Digest): Promise<AsyncDisposable | undefined> {
    return FileLock.tryAcquire(this.#pathOf(image));
  }

  /** When an image was last used; undefined when it never was. */
  async lastUsed(image: Digest): Promise<Date | undefined> {
    return (await stat(this.#pathOf(image)).catch(() => undefined))?.mtime;
  }

  /** Images that have been used, in use or not. */
  async list(): Promise<Digest[]> {
    return (await readdir(this.#directory)).map((name) => `sha256:${name}`).filter(isDigest);
  }

  /** Forgets an image that is being kept out of use. */
  async forget(image: Digest): Promise<void> {
    await rm(this.#pathOf(image), { force: true });
  }

  #pathOf(image: Digest): string {
    return join(this.#directory, hexOf(image));
  }
}
