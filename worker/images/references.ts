import { existsSync, readFileSync } from "node:fs";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, isDigest } from "./digest.ts";
import { removeTemporaries, syncDirectory, writeFileDurably } from "./durable.ts";

/** Longest file name in bytes on every file system of Linux (limits.h). */
const NAME_MAX = 255;

/**
 * Where an image came from. `pulled`: a registry has it, so that it can be had again. `made`: it was built, committed or
 * imported here, and once it is gone it is gone.
 */
export type ImageOrigin = "pulled" | "made";

/** What a name stands for. */
export interface NamedImage {
  readonly digest: Digest;
  readonly origin: ImageOrigin;
}

/**
 * Names of images, each a file that holds the digest of a manifest, and below it `pulled` if it was. A name may be moved
 * to another digest.
 */
export class ReferenceStore {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static async open(directory: string): Promise<ReferenceStore> {
    await mkdir(directory, { recursive: true });
    return new ReferenceStore(directory);
  }

  /** Whether something has this name, found out at once: each job asks. */
  has(reference: string): boolean {
    const path = this.#pathOf(reference);
    return path !== undefined && existsSync(path);
  }

  /** @throws when the file exists and holds something else than a digest */
  async get(reference: string): Promise<Digest | undefined> {
    return (await this.find(reference))?.digest;
  }

  /** @throws like {@link get} */
  async find(reference: string): Promise<NamedImage | undefined> {
    const path = this.#pathOf(reference);
    if (path === undefined) return undefined;
    let text: string;
    try {
      // At once: each job asks, and the thread pool takes ten times as long as the reading of some bytes.
      text = readFileSync(path, "utf8");
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
      throw error;
    }
    const [digest = "", origin] = text.trim().split("\n");
    if (!isDigest(digest)) throw new Error(`image reference ${path} is damaged: remove it and build the image again`);
    return { digest, origin: origin === "pulled" ? "pulled" : "made" };
  }

  async set(reference: string, manifest: Digest, origin: ImageOrigin): Promise<void> {
    const path = this.#pathOf(reference);
    if (path === undefined)
      throw new Error(`${JSON.stringify(reference)} cannot name an image: it is empty or too long`);
    await writeFileDurably(path, origin === "pulled" ? `${manifest}\npulled\n` : `${manifest}\n`);
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

  /** Removes what a process left that was killed. To be called while nobody sets a name. */
  async removeLeftovers(): Promise<void> {
    await removeTemporaries(this.#directory);
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
