import { readFileSync } from "node:fs";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, isDigest } from "./digest.ts";
import { syncDirectory, writeFileDurably } from "./durable.ts";

/** Longest file name in bytes on every file system of Linux (limits.h). */
const NAME_MAX = 255;

/** Names of images, each a file that holds the digest of a manifest. A name may be moved to another digest. */
export class ReferenceStore {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static async open(directory: string): Promise<ReferenceStore> {
    await mkdir(directory, { recursive: true });
    return new ReferenceStore(directory);
  }

  /** @throws when the file exists and holds something else than a digest */
  async get(reference: string): Promise<Digest | undefined> {
    const path = this.#pathOf(reference);
    if (path === undefined) return undefined;
    let text: string;
    try {
      // At once: each job asks, and the thread pool takes ten times as long as the reading of some bytes.
      text = readFileSync(path, "utf8").trim();
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
      throw error;
    }
    if (!isDigest(text)) throw new Error(`image reference ${path} is damaged: remove it and build the image again`);
    return text;
  }

  async set(reference: string, manifest: Digest): Promise<void> {
    const path = this.#pathOf(reference);
    if (path === undefined)
      throw new Error(`${JSON.stringify(reference)} cannot name an image: it is empty or too long`);
    await writeFileDurably(path, `${manifest}\n`);
  }

  /** Removes a name. @returns whether there was one */
  async remove(reference: string): Promise<boolean> {
    const path = this.#pathOf(reference);
    if (path === undefined) return false;
    try {
      await rm(path);
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return false;
      throw error;
    }
    await syncDirectory(this.#directory);
    return true;
  }

  /** All names, sorted. */
  async list(): Promise<string[]> {
    const names = await readdir(this.#directory);
    return names
      .filter((name) => !name.startsWith("."))
      .map(decodeURIComponent)
      .sort();
  }

  /**
   * `registry/name:tag` as one file name; undefined for what no file can be named. Leading dots, which the encoding
   * leaves alone, are encoded too: `.` and `..` are directories, and other such names are files being written.
   */
  #pathOf(reference: string): string | undefined {
    if (reference === "" || !reference.isWellFormed()) return undefined;
    const name = encodeURIComponent(reference).replace(/^\./, "%2E");
    return name.length <= NAME_MAX ? join(this.#directory, name) : undefined;
  }
}
