/**
 * The limit on a store's size while something is added to it:
 *
 *   room = limit − what is here     taken piece by piece, by all additions of this process
 *     │ used up: the addition fails, and takes back what is not whole
 *     ▼
 *   garbage collection, images least recently used first ─▶ once more, from the layers that came already
 *     │ nothing more may go
 *     ▼
 *   the image is refused
 *
 * So the store does not outgrow its limit, not for a moment; but for other processes, which count for themselves.
 */
import type { Digest } from "./digest.ts";
import { collectGarbage } from "./garbage.ts";
import type { ImageStore } from "./store.ts";
import { type Allowance, allow } from "./unpack/allowance.ts";

/** What was being added does not fit into the store, beside what is there. */
export class StoreFullError extends Error {
  override readonly name = "StoreFullError";
  /** What there would have to be room for, at least. */
  readonly bytesNeeded: number;
  /** Layers and blobs that came, and that another attempt would need. */
  readonly added: ReadonlySet<Digest>;

  constructor(message: string, bytesNeeded: number, added: ReadonlySet<Digest>) {
    super(message);
    this.bytesNeeded = bytesNeeded;
    this.added = added;
  }
}

/** How much may come into a store. Shared by all who add to it at the same time. */
export class Room {
  readonly #store: ImageStore;
  readonly #bytesMax: number;
  #additions = 0;
  #counting: Promise<Allowance> | undefined;

  constructor(store: ImageStore, bytesMax: number) {
    this.#store = store;
    this.#bytesMax = bytesMax;
  }

  /** To be called while garbage is not collected; until {@link leave} is. */
  async enter(): Promise<Allowance> {
    this.#additions++;
    try {
      return await (this.#counting ??= this.#count());
    } catch (error) {
      this.leave();
      throw error;
    }
  }

  /** Who comes when all have left counts anew. */
  leave(): void {
    if (--this.#additions === 0) this.#counting = undefined;
  }

  async #count(): Promise<Allowance> {
    const [{ bytes }, blobs] = await Promise.all([this.#store.size(), this.#store.blobs.list()]);
    const sizes = await Promise.all(blobs.map((digest) => this.#store.blobs.sizeOf(digest)));
    return allow("store", this.#bytesMax - bytes - sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0));
  }
}

/**
 * Does what adds an image, and makes room for it where there is none: again and again, since nobody knows how large an
 * image is before it is unpacked. Not to be called with content kept (`ImageStore.keepContent`): garbage collection would
 * wait for the caller. Each time room is made for twice of what is known to be needed, as far as that can be.
 * @throws {StoreFullError} when nothing more may go; the reason of `signal`
 */
export async function makingRoom<Result>(
  store: ImageStore,
  add: () => Promise<Result>,
  signal: AbortSignal = new AbortController().signal,
): Promise<Result> {
  const spared = new Set<Digest>();
  // Where no image may go any more, another attempt is worthwhile once: who else was adding something may have ended.
  for (let isLast = false; ;) {
    try {
      return await add();
    } catch (error) {
      if (!(error instanceof StoreFullError) || store.bytesMax === undefined || isLast) throw error;
      for (const digest of error.added) spared.add(digest);
      const bytesEnough = store.bytesMax - error.bytesNeeded;
      const bytesMax = bytesEnough - error.bytesNeeded;
      const report = await collectGarbage(store, { bytesMax, bytesEnough, spared, patience: signal });
      if (report === undefined || report.bytesLeft > bytesEnough) throw error;
      isLast = report.images.length === 0;
    }
  }
}
