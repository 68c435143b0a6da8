/**
 * Layers of a worker's own making, each a directory named by everything that it is made of. They are worth keeping, and
 * can be made again.
 *
 *   make ──▶ staging/<key>.layer/ ──▶ layers/sha256/<key>/
 *
 * In use is what somebody holds a lease of (`leases.ts`), in whatever process. The rest goes when it has not been used
 * for long, or when there is too much of it, least recently used first.
 */
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, hexOf } from "./digest.ts";
import { LayerStore, type StoredLayer } from "./layers.ts";
import { LeaseStore } from "./leases.ts";
import { FileLock } from "./lock.ts";

/** Held shared by those who make layers, and exclusively by who clears what others left when they died. */
const STAGING_LOCK = "locks/staging.lock";

/** What is said of a layer that has been made. */
export type LayerNotes = Pick<StoredLayer, "bytes" | "note">;

export class LeasedLayers {
  readonly #directory: string;
  readonly #layers: LayerStore;
  readonly #leases: LeaseStore;
  readonly #bytesMax: number;

  private constructor(directory: string, layers: LayerStore, leases: LeaseStore, bytesMax: number) {
    this.#directory = directory;
    this.#layers = layers;
    this.#leases = leases;
    this.#bytesMax = bytesMax;
  }

  /**
   * Opens the layers in `directory`, which is made when it is missing. Any number of processes may use one.
   * @param bytesMax what all of them together may hold, besides those in use
   */
  static async open(directory: string, bytesMax: number): Promise<LeasedLayers> {
    const staging = join(directory, "staging");
    for (const path of [join(directory, "locks"), staging]) await mkdir(path, { recursive: true, mode: 0o700 });
    const [layers, leases] = [
      await LayerStore.open(join(directory, "layers")),
      await LeaseStore.open(join(directory, "leases")),
    ];
    const opened = new LeasedLayers(directory, layers, leases, bytesMax);
    await opened.#removeLeftovers();
    return opened;
  }

  /** Marks a layer as used, whether it is here or not, until the answer is disposed of. */
  async lease(key: Digest): Promise<AsyncDisposable> {
    return await this.#leases.take(key);
  }

  async get(key: Digest): Promise<StoredLayer | undefined> {
    return await this.#layers.get(key);
  }

  /**
   * Makes a layer that is not here, unless another process is making it just now. To be called with a lease of it.
   * @param make fills a path that does not exist with the layer's directory
   * @throws what `make` throws, or the reason of `signal`
   */
  async add(key: Digest, make: (directory: string) => Promise<LayerNotes>, signal: AbortSignal): Promise<StoredLayer> {
    await using _staging = await FileLock.acquire(join(this.#directory, STAGING_LOCK), signal, "shared");
    // Few locks for all layers, since their files stay: a layer may be used once and never again.
    const lock = join(this.#directory, "locks", `${hexOf(key).slice(0, 2)}.lock`);
    await using _lock = await FileLock.acquire(lock, signal);
    const present = await this.#layers.get(key);
    if (present !== undefined) return present;
    const staged = join(this.#directory, "staging", `${hexOf(key)}.layer`);
    await rm(staged, { recursive: true, force: true });
    try {
      const layer = await this.#layers.adopt(staged, key, await make(staged));
      await this.#trim();
      return layer;
    } finally {
      await rm(staged, { recursive: true, force: true });
    }
  }

  /** Removes what has not been used since a point in time. @returns how many */
  async removeUnused(since: Date): Promise<number> {
    let removed = 0;
    for (const { digest } of await this.#layers.list()) {
      const used = await this.#leases.lastUsed(digest);
      if ((used === undefined || used < since) && (await this.#remove(digest))) removed++;
    }
    return removed;
  }

  /** Removes what processes left that were killed; later, where somebody makes a layer just now. */
  async #removeLeftovers(): Promise<void> {
    await using alone = await FileLock.tryAcquire(join(this.#directory, STAGING_LOCK));
    if (alone === undefined) return;
    const staging = join(this.#directory, "staging");
    for (const name of await readdir(staging)) await rm(join(staging, name), { recursive: true, force: true });
    await this.#layers.removeLeftovers();
    // Who takes a lease, and finds that its layer cannot be made, leaves the lease's file.
    for (const key of await this.#leases.list()) {
      if ((await this.#layers.get(key)) !== undefined) continue;
      await using unused = await this.#leases.tryKeepOut(key);
      if (unused !== undefined) await this.#leases.forget(key);
    }
  }

  /** Removes what has not been used for longest, until the rest is small enough or in use. */
  async #trim(): Promise<void> {
    const layers = await Promise.all(
      (await this.#layers.list()).map(async ({ digest, bytes }) => ({
        digest,
        bytes,
        usedAt: (await this.#leases.lastUsed(digest))?.getTime() ?? 0,
      })),
    );
    let total = layers.reduce((sum, { bytes }) => sum + bytes, 0);
    for (const { digest, bytes } of layers.toSorted((one, other) => one.usedAt - other.usedAt)) {
      if (total <= this.#bytesMax) return;
      if (await this.#remove(digest)) total -= bytes;
    }
  }

  /** @returns whether it could be: it was not in use */
  async #remove(digest: Digest): Promise<boolean> {
    await using unused = await this.#leases.tryKeepOut(digest);
    // Another process may have been here first.
    if (unused === undefined || (await this.#layers.get(digest)) === undefined) return false;
    await this.#layers.remove(digest, join(this.#directory, "staging", `removed-${hexOf(digest)}`));
    await this.#leases.forget(digest);
    return true;
  }
}
