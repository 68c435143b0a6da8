/**
 * Garbage collection: what no image needs goes, and images that were pulled go, least recently used first, while the
 * store is larger than it may be. What was built, committed or imported here cannot be pulled again: it goes by its name
 * only.
 *
 *   stays: images with a name ─┐
 *          images in use  ─────┼─▶ manifests ──▶ configurations, layers ──▶ the layers' blobs
 *          kept runs  ─────────┴─▶ what they wrote
 *
 * It runs while nobody adds content (`ImageStore.keepContent`), so that everything without an image is garbage: the
 * layers of an image that lost its name, and what a process that died has left in staging/. Images in use are known by
 * their leases. An image that somebody begins to use meanwhile is either found gone, or it stays.
 */
import { type Digest, isDigest } from "./digest.ts";
import { parentsKeyOf } from "./parents/implied-parents.ts";
import type { KeptRun } from "./kept/kept-store.ts";
import type { NamedImage } from "./references.ts";
import type { ImageStore } from "./store.ts";
import { sweep } from "./sweep.ts";

export interface GarbageOptions {
  /** What the store may hold, in bytes; images are removed until it holds no more, or none that may. No limit when undefined. */
  readonly bytesMax?: number | undefined;
  /** Layers and blobs that stay although no image has them yet. */
  readonly spared?: ReadonlySet<Digest>;
  /** Who adds content right now is waited for, until this is aborted. */
  readonly patience?: AbortSignal | undefined;
  /** In bytes: no image is removed where all that may go would leave more than this. */
  readonly bytesEnough?: number | undefined;
}

/** What was removed, and what is left. */
export interface GarbageReport {
  /** Names of images that had to go for the limit. */
  readonly images: readonly string[];
  readonly layers: number;
  readonly blobs: number;
  /** Unpacked layers and blobs that are still here. */
  readonly bytesLeft: number;
}

/** Everything that an image keeps from being garbage, with its size. */
interface Content {
  readonly layers: ReadonlyMap<Digest, number>;
  readonly blobs: ReadonlyMap<Digest, number>;
  readonly parents?: Digest | undefined;
}

/**
 * Collects garbage.
 * @returns undefined when somebody is adding content right now, and there is no patience: try again later
 * @throws when an image is damaged, because what it needs is not known: remove it by name
 */
export async function collectGarbage(
  store: ImageStore,
  { bytesMax, spared = new Set(), bytesEnough, patience }: GarbageOptions = {},
): Promise<GarbageReport | undefined> {
  await using alone = patience ? await store.keepAdditionsOut(patience) : await store.tryKeepAdditionsOut();
  if (alone === undefined) return undefined;
  const kept = await store.kept.list();
  const ofKeptRuns = new Set(kept.map(({ image }) => image));
  const names = await namesByImage(store);
  const contents = new Map<Digest, Content>();
  for (const digest of ofKeptRuns.union(await imagesThatStay(store, names))) {
    contents.set(digest, await contentOf(store, digest, kept));
  }
  const pinned = ofKeptRuns.union(imagesMadeHere(names));
  const besides = await contentBesides(store, spared);
  const eviction = { pinned, names, besides, bytesEnough, bytesMax: bytesMax ?? Number.POSITIVE_INFINITY };
  const images = await removeLeastRecentlyUsed(store, contents, eviction);
  const needed = [...contents.values(), besides];
  const swept = await sweep(store, {
    layers: new Set(needed.flatMap(({ layers }) => [...layers.keys()])),
    blobs: new Set(needed.flatMap(({ blobs }) => [...blobs.keys()])),
    parents: new Set(needed.flatMap(({ parents }) => parents ?? [])),
  });
  return { images, ...swept, bytesLeft: bytesOf(needed) };
}

/**
 * Removes an image: one name, or by digest all of its names. What it consists of is then garbage, unless others need it.
 * @returns the names that are gone; none when there is no such image
 */
export async function untagImage(store: ImageStore, reference: string): Promise<readonly string[]> {
  const found = isDigest(reference) ? ((await namesByImage(store)).get(reference) ?? []) : [];
  const names = isDigest(reference) ? found.map(({ name }) => name) : [reference];
  const removed: string[] = [];
  for (const name of names) if (await store.untag(name)) removed.push(name);
  return removed;
}

interface Name extends NamedImage {
  readonly name: string;
}

async function namesByImage(store: ImageStore): Promise<ReadonlyMap<Digest, readonly Name[]>> {
  const names: Name[] = [];
  for (const name of await store.references.list()) {
    const found = await store.references.find(name);
    if (found !== undefined) names.push({ name, ...found });
  }
  return Map.groupBy(names, ({ digest }) => digest);
}

/** Images that have a name that nobody pulled. */
function imagesMadeHere(names: ReadonlyMap<Digest, readonly Name[]>): Set<Digest> {
  return new Set([...names].flatMap(([digest, all]) => (all.some(({ origin }) => origin === "made") ? [digest] : [])));
}

/** Images that have a name or are in use. Leases of others are forgotten. */
async function imagesThatStay(store: ImageStore, names: ReadonlyMap<Digest, readonly Name[]>): Promise<Set<Digest>> {
  const digests = new Set(names.keys());
  for (const digest of await store.leases.list()) {
    if (digests.has(digest)) continue;
    await using unused = await store.leases.tryKeepOut(digest);
    if (unused === undefined) digests.add(digest);
    else await store.leases.forget(digest);
  }
  return digests;
}

/** What an image consists of, with what its kept runs wrote. */
async function contentOf(store: ImageStore, digest: Digest, kept: readonly KeptRun[]): Promise<Content> {
  const image = await store.load(digest);
  const written = kept
    .filter((run) => run.image === digest)
    .flatMap((run) => run.layers.map((layer) => [layer.digest, layer.bytes] as const))
    .filter((layer): layer is [Digest, number] => layer[0] !== null);
  if (image === undefined) return { layers: new Map(written), blobs: new Map() };
  const blobs = new Map<Digest, number>();
  const described = [...image.manifest.layers, ...image.layers.flatMap(({ blob }) => blob ?? [])];
  for (const blob of [digest, image.manifest.config.digest, ...described.map((layer) => layer.digest)]) {
    const size = await store.blobs.sizeOf(blob);
    if (size !== undefined) blobs.set(blob, size);
  }
  const own = image.layers.map((layer) => [layer.digest, layer.bytes] as const);
  return { layers: new Map([...own, ...written]), blobs, parents: parentsKeyOf(image.layers) };
}

/** Layers and blobs that stay for themselves, as far as they are here. */
async function contentBesides(store: ImageStore, digests: ReadonlySet<Digest>): Promise<Content> {
  const [layers, blobs] = [new Map<Digest, number>(), new Map<Digest, number>()];
  for (const digest of digests) {
    const [layer, size] = [await store.layers.get(digest), await store.blobs.sizeOf(digest)];
    if (layer !== undefined) layers.set(digest, layer.bytes);
    if (size !== undefined) blobs.set(digest, size);
  }
  return { layers, blobs };
}

interface Eviction {
  /** Images that may not go. */
  readonly pinned: ReadonlySet<Digest>;
  readonly names: ReadonlyMap<Digest, readonly Name[]>;
  /** What stays besides images. */
  readonly besides: Content;
  readonly bytesEnough: number | undefined;
  readonly bytesMax: number;
}

/** Removes images until the rest is small enough; what they alone needed is then garbage. */
async function removeLeastRecentlyUsed(
  store: ImageStore,
  contents: Map<Digest, Content>,
  { pinned, names, besides, bytesEnough = Number.POSITIVE_INFINITY, bytesMax }: Eviction,
): Promise<string[]> {
  const removed: string[] = [];
  const staying = [...contents].flatMap(([digest, content]) => (pinned.has(digest) ? [content] : []));
  if (bytesOf([...staying, besides]) > bytesEnough) return removed;
  for (const digest of await byLastUse(store, contents.keys())) {
    if (bytesOf([...contents.values(), besides]) <= bytesMax) break;
    if (pinned.has(digest)) continue;
    await using unused = await store.leases.tryKeepOut(digest);
    if (unused === undefined) continue;
    for (const { name } of names.get(digest) ?? []) {
      await store.untag(name);
      removed.push(name);
    }
    // After its names: who asks for it from now on does not find it.
    await store.leases.forget(digest);
    contents.delete(digest);
  }
  return removed;
}

/** Least recently used first. That an image came, or came again, is a use. */
async function byLastUse(store: ImageStore, digests: Iterable<Digest>): Promise<Digest[]> {
  const uses: { digest: Digest; at: number }[] = [];
  for (const digest of digests) {
    const times = [await store.leases.lastUsed(digest), await store.blobs.writtenAt(digest)];
    uses.push({ digest, at: Math.max(0, ...times.flatMap((time) => time?.getTime() ?? [])) });
  }
  return uses.toSorted((one, other) => one.at - other.at).map(({ digest }) => digest);
}

/** What is shared counts once. */
function bytesOf(contents: Iterable<Content>): number {
  // Apart: a layer and its blob may have the same digest.
  const [layers, blobs] = [new Map<Digest, number>(), new Map<Digest, number>()];
  for (const content of contents) {
    for (const [digest, bytes] of content.layers) layers.set(digest, bytes);
    for (const [digest, bytes] of content.blobs) blobs.set(digest, bytes);
  }
  return [...layers.values(), ...blobs.values()].reduce((sum, bytes) => sum + bytes, 0);
}
