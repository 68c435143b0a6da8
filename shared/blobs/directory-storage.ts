import { mkdir, open, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, hexOf } from "../digest.ts";
import type { BlobContent, BlobStorage } from "./storage.ts";

/**
 * Blobs as files of a directory, named by their digests; also of one that several machines mount. It is made when the
 * first blob comes, since an API that never gets one needs no place for it.
 */
export class DirectoryStorage implements BlobStorage {
  /** On the same file system, so that a finished file becomes a blob by one rename. */
  readonly spoolDirectory: string;
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = join(directory, "sha256");
    this.spoolDirectory = join(directory, "spool");
  }

  async sizeOf(digest: Digest): Promise<number | undefined> {
    return (await unlessMissing(stat(this.#pathOf(digest))))?.size;
  }

  async open(digest: Digest): Promise<BlobContent | undefined> {
    const handle = await unlessMissing(open(this.#pathOf(digest)));
    if (handle === undefined) return undefined;
    const { size } = await handle.stat();
    return { bytes: size, content: handle.createReadStream() };
  }

  async put(digest: Digest, file: string): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    await sync(file);
    await rename(file, this.#pathOf(digest));
    await sync(this.#directory);
  }

  async remove(digest: Digest): Promise<void> {
    await rm(this.#pathOf(digest), { force: true });
  }

  #pathOf(digest: Digest): string {
    return join(this.#directory, hexOf(digest));
  }

  [Symbol.dispose](): void {}
}

async function unlessMissing<Result>(access: Promise<Result>): Promise<Result | undefined> {
  try {
    return await access;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

async function sync(path: string): Promise<void> {
  await using handle = await open(path, "r");
  await handle.sync();
}
