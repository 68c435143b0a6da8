import { stat } from "node:fs/promises";

/**
 * Directories that a worker has made, and works in by descriptors and mounts: one that was removed, even if there is
 * another of its name by now, it cannot use any more.
 */
export class DirectoryWatch {
  readonly #inodes: ReadonlyMap<string, bigint>;

  private constructor(inodes: ReadonlyMap<string, bigint>) {
    this.#inodes = inodes;
  }

  /** @throws when one is not there */
  static async open(paths: readonly string[]): Promise<DirectoryWatch> {
    const inodes = await Promise.all(paths.map(async (path) => [path, await inodeOf(path)] as const));
    return new DirectoryWatch(new Map(inodes));
  }

  /** One that is not there any more; undefined when all are. */
  async findRemoved(): Promise<string | undefined> {
    for (const [path, inode] of this.#inodes) {
      const found = await inodeOf(path).catch((error: unknown) => {
        if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
        throw error;
      });
      if (found !== inode) return path;
    }
    return undefined;
  }
}

async function inodeOf(path: string): Promise<bigint> {
  return (await stat(path, { bigint: true })).ino;
}
