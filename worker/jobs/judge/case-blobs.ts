/**
 * Blobs of judges' cases on the worker's disk: the test files of a problem are the same for all of its submissions, and
 * are fetched and verified once.
 *
 *   storage ──▶ attempt's scratch ── link ──▶ <directory>/<hex> ── link ──▶ scratch of later attempts
 *
 * Each user has a hard link of its own, so that nothing has to be known of who uses what: a blob that is removed here is
 * there for those who have it. A link sets the file's ctime (inode(7)): it tells when a blob was last used.
 */
import { link, mkdir, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, hexOf } from "../../images/digest.ts";
import { untilSettled } from "../../images/until-settled.ts";

/** Why there may be no link, with nothing being wrong: it is not here, is on another file system, has too many, is here. */
const NO_LINK: ReadonlySet<unknown> = new Set(["ENOENT", "EXDEV", "EMLINK", "EEXIST"]);

export class CaseBlobs {
  readonly #directory: string;
  readonly #bytesMax: number;
  /** By digest; they resolve when the blob is here, or cannot be had. */
  readonly #fetching = new Map<Digest, Promise<void>>();
  /** As far as this process knows: others may use the directory, too. */
  #bytes = 0;

  private constructor(directory: string, bytesMax: number) {
    this.#directory = directory;
    this.#bytesMax = bytesMax;
  }

  /**
   * Opens the blobs in `directory`, which is made when it is missing. Any number of processes may use one.
   * @param bytesMax what all of them may take; those least recently used go first
   */
  static async open(directory: string, bytesMax: number): Promise<CaseBlobs> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const blobs = new CaseBlobs(directory, bytesMax);
    await blobs.#trim();
    return blobs;
  }

  /**
   * Puts a blob at a path where nothing is.
   * @param fetch puts it there, verified and for ever the same, when it is not here
   * @throws what `fetch` throws, or the reason of `signal`
   */
  async take(digest: Digest, path: string, fetch: () => Promise<void>, signal: AbortSignal): Promise<void> {
    const kept = join(this.#directory, hexOf(digest));
    for (;;) {
      if ((await tryLink(kept, path)) === "linked") return;
      const fetching = this.#fetching.get(digest);
      if (fetching === undefined) break;
      await untilSettled(fetching, signal);
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#fetching.set(digest, promise);
    try {
      await fetch();
      if ((await tryLink(path, kept)) === "linked") this.#bytes += (await stat(path)).size;
      if (this.#bytes > this.#bytesMax) await this.#trim();
    } finally {
      this.#fetching.delete(digest);
      resolve();
    }
  }

  /** Removes what has not been used since a point in time. @returns how many */
  async removeUnused(since: Date): Promise<number> {
    const unused = (await this.#list()).filter(({ usedMs }) => usedMs < since.getTime());
    for (const { path } of unused) await rm(path, { force: true });
    return unused.length;
  }

  async #trim(): Promise<void> {
    const blobs = (await this.#list()).toSorted((one, other) => one.usedMs - other.usedMs);
    this.#bytes = blobs.reduce((sum, { bytes }) => sum + bytes, 0);
    for (const { path, bytes } of blobs) {
      if (this.#bytes <= this.#bytesMax) return;
      await rm(path, { force: true });
      this.#bytes -= bytes;
    }
  }

  async #list(): Promise<{ readonly path: string; readonly bytes: number; readonly usedMs: number }[]> {
    const paths = (await readdir(this.#directory)).map((name) => join(this.#directory, name));
    // One that another process has removed meanwhile counts for nothing.
    const found = await Promise.all(paths.map(async (path) => ({ path, status: await stat(path).catch(() => null) })));
    return found.flatMap(({ path, status }) =>
      status === null ? [] : [{ path, bytes: status.size, usedMs: status.ctimeMs }],
    );
  }
}

async function tryLink(from: string, to: string): Promise<"linked" | "not linked"> {
  try {
    await link(from, to);
    return "linked";
  } catch (error) {
    if (error instanceof Error && "code" in error && NO_LINK.has(error.code)) return "not linked";
    throw error;
  }
}
