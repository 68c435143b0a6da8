import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { HeldDirectory } from "./linux/held-directory.ts";

/**
 * Where a worker's jobs put files on their way from containers to clients: a directory of the worker's name beside those
 * of the others that work in the same data directory. The worker holds it while it lives (see {@link HeldDirectory}).
 */
export class SpoolDirectory implements AsyncDisposable {
  readonly path: string;
  readonly #parent: string;
  readonly #held: HeldDirectory;

  private constructor(parent: string, path: string, held: HeldDirectory) {
    this.#parent = parent;
    this.path = path;
    this.#held = held;
  }

  /** @param parent made when missing @param name no two workers have ever had the same */
  static async open(parent: string, name: string): Promise<SpoolDirectory> {
    await mkdir(parent, { recursive: true });
    const path = join(parent, name);
    return new SpoolDirectory(parent, path, HeldDirectory.make(path));
  }

  /** Removes the directories of workers that have ended without a farewell. @param isWorker tells their names from others' */
  async removeAbandoned(isWorker: (name: string) => boolean): Promise<void> {
    for (const name of await readdir(this.#parent)) {
      if (!isWorker(name)) continue;
      const path = join(this.#parent, name);
      using held = HeldDirectory.tryHold(path);
      if (held !== undefined) await rm(path, { recursive: true, force: true });
    }
  }

  /** Removes it with all that is in it. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await rm(this.path, { recursive: true, force: true });
    } finally {
      this.#held[Symbol.dispose]();
    }
  }
}
