import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";

/** The files of an archive of images, wherever they are, by their paths within it. */
export interface ArchiveFiles {
  /** Bytes of a file; undefined when there is none. */
  sizeOf(path: string): Promise<number | undefined>;
  /** @throws when there is no such file */
  open(path: string): Readable;
}

/** Largest manifest, index or configuration, in bytes. */
export const DOCUMENT_BYTES_MAX = 4 * 1024 * 1024;

/**
 * Reads a file that is a document, and so of no great size.
 * @throws when there is none, or it is larger
 */
export async function readArchived(files: ArchiveFiles, path: string): Promise<Buffer> {
  const size = await files.sizeOf(path);
  if (size === undefined) throw new Error(`the archive has no ${path}: it is not complete`);
  if (size > DOCUMENT_BYTES_MAX) throw new Error(`${path} has ${size} bytes, which no document has`);
  return buffer(files.open(path));
}

/** A directory as an archive. */
export class DirectoryFiles implements ArchiveFiles {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async sizeOf(path: string): Promise<number | undefined> {
    const stats = await stat(join(this.#directory, path)).catch(() => undefined);
    return stats?.isFile() === true ? stats.size : undefined;
  }

  open(path: string): Readable {
    return createReadStream(join(this.#directory, path));
  }
}
