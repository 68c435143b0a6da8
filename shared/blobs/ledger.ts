/**
 * Who holds which blob, and until when.
 *
 *   hold ──▶ held until its time to live is over ── touch: from now on again ──▶ …
 *              │ ▲
 *              │ └──────── hold ───────────┐
 *              └ release, or time is over ─▶ doomed ── claim ──▶ removing ──▶ forgotten
 *
 * A holder is a client, whose quota its blobs count against, or a finished job, whose large files they are. What two
 * holders put is stored once, and each holds it on its own: neither learns of the other.
 *
 * A blob is held before it is stored, and claimed before it is removed; and what is being removed cannot be held. So no
 * blob is removed that somebody has just been told is there.
 */
import type { Redis } from "ioredis";
import { type Digest, hexOf, isDigest } from "../digest.ts";
import { createKeys, type Keys } from "../keys.ts";
import { withRedis } from "../redis.ts";
import { defineScripts, type ScriptCaller } from "../scripts.ts";

/** Who holds a blob. */
export interface Holder {
  /** Without spaces. */
  readonly name: string;
  /** For how long a blob is held, since it was put or used last. */
  readonly ttlSeconds: number;
  /** What all of its blobs may take; undefined: no limit. */
  readonly quotaBytes: number | undefined;
}

/** What came of the wish to hold a blob; times are Redis's clock, in milliseconds. */
export type Hold =
  | { readonly status: "new" | "renewed"; readonly expiresAt: number }
  /** `bytes`: what the holder's other blobs take. */
  | { readonly status: "quota"; readonly bytes: number }
  /** Right now: try again. */
  | { readonly status: "removing" };

/** Holds that one call ends at most: Redis does nothing else meanwhile. */
const EXPIRED_AT_ONCE = 500;

export class BlobLedger {
  readonly keys: Keys;
  readonly #redis: Redis;
  readonly #call: ScriptCaller;

  constructor(redis: Redis, queue: string) {
    this.keys = createKeys(queue);
    this.#redis = redis;
    this.#call = defineScripts(redis);
  }

  async hold(digest: Digest, bytes: number, { name, ttlSeconds, quotaBytes = -1 }: Holder): Promise<Hold> {
    const reply = await this.#script(
      "blob-hold",
      ...this.#keysOf(name),
      this.keys.blobsRemoving,
      name,
      hexOf(digest),
      bytes,
      ttlSeconds * 1000,
      quotaBytes,
    );
    const [status, detail = 0] = reply as [string, number?];
    switch (status) {
      case "new":
      case "renewed":
        return { status, expiresAt: detail };
      case "quota":
        return { status, bytes: detail };
      case "removing":
        return { status };
      default:
        throw new Error(`the script blob-hold answered ${status}`);
    }
  }

  /** Bytes of each blob that the holder has, held on from now; undefined for each that it has not, or no more. */
  async touch(digests: readonly Digest[], { name, ttlSeconds }: Holder): Promise<(number | undefined)[]> {
    if (digests.length === 0) return [];
    const { blobHolds, blobsHeldBy } = this.keys;
    const hexes = digests.map(hexOf);
    const reply = await this.#script("blob-touch", blobHolds, blobsHeldBy(name), name, ttlSeconds * 1000, ...hexes);
    return (reply as number[]).map((bytes) => (bytes < 0 ? undefined : bytes));
  }

  /** Lets go of a blob; whether it was held. */
  async release(digest: Digest, name: string): Promise<boolean> {
    return (await this.#script("blob-release", ...this.#keysOf(name), name, hexOf(digest))) === 1;
  }

  /** What the quota of a holder is charged with, in bytes. */
  async chargedTo(name: string): Promise<number> {
    return Number((await withRedis(() => this.#redis.hget(this.keys.blobCharges, name))) ?? 0);
  }

  /** Ends holds whose time is over. */
  async expire(): Promise<void> {
    const { blobHolds, blobCharges, blobHolders, blobsDoomed, blobsHeldBy } = this.keys;
    const call = ["blob-expire", blobHolds, blobCharges, blobHolders, blobsDoomed, EXPIRED_AT_ONCE] as const;
    for (let ended = EXPIRED_AT_ONCE; ended === EXPIRED_AT_ONCE;) {
      ended = Number(await this.#script(...call, blobsHeldBy("")));
    }
  }

  /** Blobs that nobody holds, and those whose removal was begun by somebody who did not end it. */
  async doomed(): Promise<Digest[]> {
    const { blobsDoomed, blobsRemoving } = this.keys;
    const hexes = await withRedis(() => this.#redis.sunion(blobsDoomed, blobsRemoving));
    return hexes.map((hex) => `sha256:${hex}`).filter(isDigest);
  }

  /** Begins to remove a doomed blob; false when somebody holds it again. {@link forget} ends it. */
  async claim(digest: Digest): Promise<boolean> {
    const { blobsDoomed, blobsRemoving } = this.keys;
    const hex = hexOf(digest);
    return await withRedis(
      async () =>
        (await this.#redis.smove(blobsDoomed, blobsRemoving, hex)) === 1 ||
        (await this.#redis.sismember(blobsRemoving, hex)) === 1,
    );
  }

  async forget(digest: Digest): Promise<void> {
    await withRedis(() => this.#redis.srem(this.keys.blobsRemoving, hexOf(digest)));
  }

  /** Makes this process the only one that sweeps, for so long at most; false when another one is. */
  async beginSweep(milliseconds: number): Promise<boolean> {
    const reply = await withRedis(() => this.#redis.set(this.keys.blobSweep, "", "PX", milliseconds, "NX"));
    return reply === "OK";
  }

  async endSweep(): Promise<void> {
    await withRedis(() => this.#redis.del(this.keys.blobSweep));
  }

  #keysOf(name: string): string[] {
    const { blobHolds, blobsHeldBy, blobCharges, blobHolders, blobsDoomed } = this.keys;
    return [blobHolds, blobsHeldBy(name), blobCharges, blobHolders, blobsDoomed];
  }

  async #script(...call: Parameters<ScriptCaller>): Promise<unknown> {
    return await withRedis(() => this.#call(...call));
  }
}
