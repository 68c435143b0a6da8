/**
 * Blobs: contents that clients put once and name by digest afterwards, and large files that jobs returned.
 *
 *   put ──▶ spool, hashed ──▶ ledger: held, within the quota ──▶ storage
 *   sweep:                    ledger: doomed, claimed ──▶ removed from the storage ──▶ forgotten
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Redis } from "ioredis";
import type { Digest } from "../digest.ts";
import { LongshoreError } from "../errors.ts";
import { BlobLedger, type Hold, type Holder } from "./ledger.ts";
import { clearSpool, spool, type SpooledFile } from "./spool.ts";
import type { BlobContent, BlobStorage } from "./storage.ts";

export type { Holder } from "./ledger.ts";

export interface BlobsOptions {
  /** Not closed here. */
  readonly redis: Redis;
  readonly queue: string;
  /** Closed with the blobs. */
  readonly storage: BlobStorage;
  /** The largest blob, in bytes. */
  readonly bytesMax: number;
}

/** A blob that somebody holds. */
export interface HeldBlob {
  readonly digest: Digest;
  readonly bytes: number;
  /** When it is gone unless it is used before, in milliseconds. */
  readonly expiresAt: number;
  /** `renewed`: the holder had it already. */
  readonly status: "new" | "renewed";
}

/** What is known of a blob before it comes. */
export interface Announcement {
  readonly digest?: Digest | undefined;
  readonly bytes?: number | undefined;
}

/** Removing a file takes no time, removing an object of a bucket some; what takes longer than all this has failed. */
const REMOVAL_PAUSE_MS = 50;
const REMOVAL_MS = 10_000;

/** One sweep: what is not removed by then is left to the next, well before another process may begin one. */
const SWEEP_MS = 20_000;
const SWEEP_LOCK_MS = 60_000;

/** Who uploads and sends nothing for as long has gone. */
const SPOOL_MS = 3_600_000;

export class Blobs implements Disposable {
  readonly storage: BlobStorage;
  readonly #ledger: BlobLedger;
  readonly #bytesMax: number;
  /** Bytes that holders are sending right now, which no quota is charged with yet. */
  readonly #arriving = new Map<string, number>();

  constructor({ redis, queue, storage, bytesMax }: BlobsOptions) {
    this.storage = storage;
    this.#ledger = new BlobLedger(redis, queue);
    this.#bytesMax = bytesMax;
  }

  /**
   * Takes a blob in. One that the holder has, and announces by its digest, is not read.
   * Throws `blob_too_large`, `blob_quota_exceeded`, `invalid_request` for another digest than announced,
   * `blobs_unavailable`, `redis_unavailable`, and what the source throws: nothing is held then.
   */
  async put(source: AsyncIterable<Uint8Array>, holder: Holder, announced: Announcement = {}): Promise<HeldBlob> {
    if (announced.digest !== undefined) {
      const known = await this.#renew(announced.digest, holder);
      if (known !== undefined) return known;
    }
    await using file = await this.#receive(source, holder, announced.bytes ?? 0);
    if (announced.digest !== undefined) insistOnDigest(file, announced.digest);
    return await this.#store(file, holder);
  }

  /** Opens a blob, whoever holds it; undefined when it is not stored. Throws `blobs_unavailable`. */
  async open(digest: Digest): Promise<BlobContent | undefined> {
    return await withStorage(() => this.storage.open(digest));
  }

  /** Reads a blob piece by piece. Throws `blob_not_found`, `blobs_unavailable`, also when it ends too soon. */
  async *read(digest: Digest): AsyncGenerator<Buffer> {
    const blob = await this.open(digest);
    if (blob === undefined) throw new LongshoreError("blob_not_found");
    try {
      for await (const piece of blob.content) yield piece as Buffer;
    } catch (error) {
      throw new LongshoreError("blobs_unavailable", { cause: error });
    }
  }

  /** Bytes of a stored blob, whoever holds it. Throws `blobs_unavailable`. */
  async sizeOf(digest: Digest): Promise<number | undefined> {
    return await withStorage(() => this.storage.sizeOf(digest));
  }

  /** Whether the holder has each of these blobs; those it goes on having, for its time to live from now. */
  async touch(digests: readonly Digest[], holder: Holder): Promise<boolean[]> {
    return (await this.#ledger.touch(digests, holder)).map((bytes) => bytes !== undefined);
  }

  /** Lets go of a blob; whether it was held. What nobody else holds is removed by the next sweep. */
  async release(digest: Digest, holder: Holder): Promise<boolean> {
    return await this.#ledger.release(digest, holder.name);
  }

  /** Stores what another process of the installation holds. Throws as {@link put} does. */
  async store(source: AsyncIterable<Uint8Array>, digest: Digest): Promise<void> {
    let bytes = 0;
    await using file = await this.#spool(source, (piece) => {
      bytes += piece;
      if (bytes > this.#bytesMax) throw new LongshoreError("blob_too_large");
    });
    insistOnDigest(file, digest);
    await this.#place(file);
  }

  /** Removes what nobody holds any more, unless another process is doing that, or another one has to. */
  async sweep(): Promise<void> {
    const { storage } = this;
    const remove = storage.remove?.bind(storage);
    await clearSpool(storage.spoolDirectory, new Date(Date.now() - SPOOL_MS));
    if (remove === undefined || !(await this.#ledger.beginSweep(SWEEP_LOCK_MS))) return;
    // By a clock that does not jump: beyond its lock another one sweeps, too.
    const end = performance.now() + SWEEP_MS;
    try {
      await this.#ledger.expire();
      for (const digest of await this.#ledger.doomed()) {
        if (performance.now() > end) return;
        if (!(await this.#ledger.claim(digest))) continue;
        await withStorage(() => remove(digest));
        await this.#ledger.forget(digest);
      }
    } finally {
      await this.#ledger.endSweep();
    }
  }

  [Symbol.dispose](): void {
    this.storage[Symbol.dispose]();
  }

  async #renew(digest: Digest, holder: Holder): Promise<HeldBlob | undefined> {
    const [bytes] = await this.#ledger.touch([digest], holder);
    if (bytes === undefined || (await this.sizeOf(digest)) !== bytes) return undefined;
    const hold = await this.#ledger.hold(digest, bytes, holder);
    return hold.status === "renewed" ? { digest, bytes, ...hold } : undefined;
  }

  /** Spools a blob, and stops as soon as it cannot be held: what is arriving counts, of several uploads at once, too. */
  async #receive(source: AsyncIterable<Uint8Array>, holder: Holder, announcedBytes: number): Promise<SpooledFile> {
    const { name, quotaBytes = Infinity } = holder;
    const room = quotaBytes - (await this.#ledger.chargedTo(name));
    let received = 0;
    const count = (bytes: number): void => {
      received += bytes;
      if (received > this.#bytesMax) throw new LongshoreError("blob_too_large");
      const arriving = (this.#arriving.get(name) ?? 0) + bytes;
      if (arriving > room) throw new LongshoreError("blob_quota_exceeded");
      this.#arriving.set(name, arriving);
    };
    if (announcedBytes > this.#bytesMax) throw new LongshoreError("blob_too_large");
    if (announcedBytes > room) throw new LongshoreError("blob_quota_exceeded");
    try {
      return await this.#spool(source, count);
    } finally {
      const arriving = (this.#arriving.get(name) ?? 0) - received;
      if (arriving > 0) this.#arriving.set(name, arriving);
      else this.#arriving.delete(name);
    }
  }

  async #spool(source: AsyncIterable<Uint8Array>, onPiece: (bytes: number) => void): Promise<SpooledFile> {
    return await spool(source, this.storage.spoolDirectory, onPiece);
  }

  async #store(file: SpooledFile, holder: Holder): Promise<HeldBlob> {
    const { digest, bytes } = file;
    const { status, expiresAt } = await this.#hold(file, holder);
    try {
      await this.#place(file);
    } catch (error) {
      if (status === "new") await this.#ledger.release(digest, holder.name);
      throw error;
    }
    return { digest, bytes, expiresAt, status };
  }

  async #hold({ digest, bytes }: SpooledFile, holder: Holder): Promise<Extract<Hold, { expiresAt: number }>> {
    for (const deadline = performance.now() + REMOVAL_MS; performance.now() < deadline; await delay(REMOVAL_PAUSE_MS)) {
      const hold = await this.#ledger.hold(digest, bytes, holder);
      if (hold.status === "quota") throw new LongshoreError("blob_quota_exceeded");
      if (hold.status !== "removing") return hold;
    }
    throw new LongshoreError("blobs_unavailable", {
      cause: new Error(`blob ${digest} is being removed, and is not gone`),
    });
  }

  async #place({ digest, bytes, path }: SpooledFile): Promise<void> {
    // Of another size: something else than us has written there.
    if ((await this.sizeOf(digest)) !== bytes) await withStorage(() => this.storage.put(digest, path));
  }
}

function insistOnDigest(file: SpooledFile, digest: Digest): void {
  if (file.digest === digest) return;
  const details = [{ path: "digest", message: `is not the body's, which is ${file.digest}` }];
  throw new LongshoreError("invalid_request", { details });
}

async function withStorage<Result>(access: () => Promise<Result>): Promise<Result> {
  try {
    return await access();
  } catch (error) {
    if (error instanceof LongshoreError) throw error;
    throw new LongshoreError("blobs_unavailable", { cause: error });
  }
}
