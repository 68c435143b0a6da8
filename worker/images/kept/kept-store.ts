import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { removeTemporaries, syncDirectory, writeFileDurably } from "../durable.ts";
import { FileLock } from "../lock.ts";
import { digest } from "../oci.ts";

const keptRun = z.object({
  job: z.string(),
  /** Of the manifest of the image that ran. */
  image: digest,
  /** RFC 3339. */
  createdAt: z.iso.datetime(),
  expiresAt: z.iso.datetime(),
  /** Lowest first: of a build, and of the run. */
  layers: z.array(
    z.object({
      /** Null when nothing was written. */
      digest: digest.nullable(),
      /** Of its uncompressed tar. */
      bytes: z.int().nonnegative(),
      /** The command that wrote it. */
      createdBy: z.string(),
    }),
  ),
});

/** What a job wrote, kept as layers of the store. */
export type KeptRun = z.infer<typeof keptRun>;

/** Ids of jobs are UUIDs; nothing else becomes the name of a file. */
const JOB_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * The runs whose layers are kept: a file for each, named by its job. While it is there, and has not expired, garbage
 * collection leaves the layers and their image alone.
 */
export class KeptStore {
  readonly #directory: string;
  readonly #lockPath: string;

  private constructor(directory: string, lockPath: string) {
    this.#directory = directory;
    this.#lockPath = lockPath;
  }

  /** @param lockPath file of the lock that is held while room is made */
  static async open(directory: string, lockPath: string): Promise<KeptStore> {
    await mkdir(directory, { recursive: true });
    return new KeptStore(directory, lockPath);
  }

  /** What was kept of a job; undefined when nothing was, or not any more. */
  async get(job: string): Promise<KeptRun | undefined> {
    const run = JOB_ID.test(job) ? await this.#read(`${job}.json`) : undefined;
    return run !== undefined && !hasExpired(run) ? run : undefined;
  }

  /** All that has not expired, the oldest first. */
  async list(): Promise<KeptRun[]> {
    const runs = await Promise.all((await this.#files()).map((name) => this.#read(name)));
    return runs
      .filter((run) => run !== undefined)
      .filter((run) => !hasExpired(run))
      .toSorted((one, other) => (one.createdAt < other.createdAt ? -1 : 1));
  }

  /**
   * Keeps a run whose layers are in the store; an earlier attempt at the job is forgotten. Where all would become more
   * than `bytesMax`, the oldest ones go. Their layers are then garbage.
   * @returns whether something is garbage now
   */
  async put(run: KeptRun, bytesMax: number, signal?: AbortSignal): Promise<"garbage" | "no garbage"> {
    await using _lock = await FileLock.acquire(this.#lockPath, signal);
    const others = await this.list();
    const earlier = others.findIndex(({ job }) => job === run.job);
    const replaced = earlier < 0 ? [] : others.splice(earlier, 1);
    const evicted: KeptRun[] = [];
    while (bytesOf([...others, run]) > bytesMax) {
      const oldest = others.shift();
      if (oldest === undefined) break;
      await this.#remove(oldest.job);
      evicted.push(oldest);
    }
    await writeFileDurably(this.#pathOf(run.job), `${JSON.stringify(run)}\n`);
    return evicted.length + replaced.length > 0 ? "garbage" : "no garbage";
  }

  /** Forgets what has expired, and what is damaged. @returns how many runs are forgotten; their layers are then garbage */
  async removeExpired(): Promise<number> {
    let removed = 0;
    for (const name of await this.#files()) {
      const run = await this.#read(name);
      if (run !== undefined && !hasExpired(run)) continue;
      await rm(join(this.#directory, name), { force: true });
      removed++;
    }
    return removed;
  }

  /** Removes what a process left that was killed, unless somebody keeps a run just now: then another time. */
  async removeLeftovers(): Promise<void> {
    await using lock = await FileLock.tryAcquire(this.#lockPath);
    if (lock !== undefined) await removeTemporaries(this.#directory);
  }

  /** All but those that are just being written. */
  async #files(): Promise<string[]> {
    return (await readdir(this.#directory)).filter((name) => !name.startsWith("."));
  }

  async #remove(job: string): Promise<void> {
    await rm(this.#pathOf(job), { force: true });
    await syncDirectory(this.#directory);
  }

  async #read(name: string): Promise<KeptRun | undefined> {
    const text = await readFile(join(this.#directory, name), "utf8").catch(() => "");
    try {
      return keptRun.parse(JSON.parse(text));
    } catch {
      return undefined;
    }
  }

  #pathOf(job: string): string {
    if (!JOB_ID.test(job)) throw new RangeError(`${JSON.stringify(job)} is not the id of a job`);
    return join(this.#directory, `${job}.json`);
  }
}

/** Of a run's layers, each counted once. */
export function bytesOf(runs: readonly KeptRun[]): number {
  const layers = new Map(runs.flatMap((run) => run.layers.map(({ digest: layer, bytes }) => [layer, bytes] as const)));
  return [...layers.values()].reduce((sum, bytes) => sum + bytes, 0);
}

function hasExpired({ expiresAt }: KeptRun): boolean {
  return Date.parse(expiresAt) <= Date.now();
}
