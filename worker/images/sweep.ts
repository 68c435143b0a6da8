/**
 * Removes what garbage collection has found nobody to need, and what processes left that were killed in the middle:
 *
 *   layers/, blobs/, parents/   what is not needed; records without a layer; files that were being written
 *   references/, kept/          files that were being written
 *   build-cache/                steps whose layer is gone, or that were not met for long
 *   locks/                      locks of layers: who adds one takes it again, and nobody does now
 *   staging/                    all
 */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Digest } from "./digest.ts";
import { BuildCache } from "./dockerfile/build-cache.ts";
import type { ImageStore } from "./store.ts";

/** What stays. */
export interface Needed {
  readonly layers: ReadonlySet<Digest>;
  readonly blobs: ReadonlySet<Digest>;
  /** Of `parents/implied-parents.ts`. */
  readonly parents: ReadonlySet<Digest>;
}

/** How much was removed that had been whole. */
export interface Swept {
  readonly layers: number;
  readonly blobs: number;
}

const LAYER_LOCK = /^[0-9a-f]{64}\.lock$/;

/** To be called while nobody adds content: all of these come into being within that (`ImageStore.keepContent`). */
export async function sweep(store: ImageStore, needed: Needed): Promise<Swept> {
  const staging = join(store.directory, "staging");
  await clear(staging);
  const layers = (await store.layers.list()).filter(({ digest }) => !needed.layers.has(digest));
  for (const { digest } of layers) await store.layers.remove(digest, join(staging, `removed-${digest}`));
  const blobs = (await store.blobs.list()).filter((digest) => !needed.blobs.has(digest));
  for (const digest of blobs) await store.blobs.remove(digest);
  await store.parents.removeOthers(needed.parents, staging);
  await removeLeftovers(store);
  return { layers: layers.length, blobs: blobs.length };
}

/**
 * Removes what processes left that were killed, and nothing that is whole: a pull that broke off goes on from there.
 * Where somebody is adding content right now, that is for another time.
 */
export async function clearLeftovers(store: ImageStore): Promise<void> {
  await using alone = await store.tryKeepAdditionsOut();
  if (alone === undefined) return;
  await clear(join(store.directory, "staging"));
  await removeLeftovers(store);
}

async function removeLeftovers(store: ImageStore): Promise<void> {
  await store.layers.removeLeftovers();
  await store.blobs.removeLeftovers();
  await store.references.removeLeftovers();
  await store.kept.removeLeftovers();
  await (await BuildCache.open(store)).removeStale();
  const locks = join(store.directory, "locks");
  for (const name of await readdir(locks)) if (LAYER_LOCK.test(name)) await rm(join(locks, name), { force: true });
}

async function clear(directory: string): Promise<void> {
  for (const name of await readdir(directory)) await rm(join(directory, name), { recursive: true, force: true });
}
