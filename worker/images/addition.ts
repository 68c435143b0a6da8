/**
 * Adding an image that exists elsewhere: its layers, in any order and several at once, then its documents and name.
 *
 *   source ──▶ staging/<hex>.blob ──▶ digest, size ──▶ staging/<diff id>/ ──▶ diff id ──▶ blobs/, layers/ ──▶ references/
 *              main thread            as it is written  unpacking thread      as it is read
 *
 * Nothing is unpacked before the whole blob has the digest that was asked for. A layer's lock is held from before its
 * first byte in staging/ until it is in place, so that processes which want one layer do the work once, and whoever
 * gets the lock may clear what a dead one left.
 */
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { receiveBlob } from "./blobs.ts";
import { type Digest, digestOf, hexOf } from "./digest.ts";
import { wayOut } from "./image-limits.ts";
import type { StoredLayer } from "./layers.ts";
import { FileLock } from "./lock.ts";
import { compressionOf, type Descriptor, imageConfig, imageManifest, parseDocument } from "./oci.ts";
import { countImplied } from "./parents/implied-parents.ts";
import type { ImageOrigin } from "./references.ts";
import { type Room, StoreFullError } from "./room.ts";
import type { ImageStore, StoredImage } from "./store.ts";
import { type Allowance, allow, giveBack, giveUp, spendingOf, take } from "./unpack/allowance.ts";
import { LAYERS_MAX } from "./unpack/limits.ts";
import { PIECE_BYTES } from "./unpack/pieces.ts";
import { unpackInThread } from "./unpack/pool.ts";
import type { UnpackTask } from "./unpack/unpack-layer.ts";

/** A layer that can be had from somewhere. */
export interface LayerSource {
  readonly descriptor: Descriptor;
  /** What the image's configuration says is the sha256 of its uncompressed tar. */
  readonly diffId: Digest;
  /**
   * The blob's bytes. Called at most once, and not at all when the store has them. A piece is not looked at any more when
   * the next one is asked for. Who is not a Readable has to end by itself when the adding is aborted.
   */
  open(): AsyncIterable<Uint8Array> | Promise<AsyncIterable<Uint8Array>>;
}

export interface AddLayerOptions {
  readonly signal?: AbortSignal;
}

/** An image from elsewhere cannot be had, because it is malformed, hostile, or of a kind that is not understood. */
export class ImageRefusedError extends Error {
  override readonly name = "ImageRefusedError";
}

/** Room that an addition has, and has to leave. */
interface AdditionRoom {
  readonly allowance: Allowance;
  readonly room: Pick<Room, "leave">;
}

/** An image that is being added. Garbage collection waits until it is disposed of. */
export class ImageAddition implements AsyncDisposable {
  readonly #store: ImageStore;
  readonly #hold: AsyncDisposable;
  readonly #room: AdditionRoom | undefined;
  readonly #underWay = new Set<Promise<StoredLayer>>();
  #isDisposed = false;
  /** Layers and blobs that have come, or were here and are needed. */
  readonly #added = new Set<Digest>();
  /** Of the image that is being added: what its layers may hold, and which of them have been counted. */
  #image: { readonly allowance: Allowance; readonly counted: Set<Digest> };

  constructor(store: ImageStore, hold: AsyncDisposable, room: AdditionRoom | undefined) {
    this.#store = store;
    this.#hold = hold;
    this.#room = room;
    this.#image = imageOf(store);
  }

  /**
   * Adds a layer, blob and directory, unless the store has them.
   * @throws {ImageRefusedError} when the layer is not what it may be; nothing of it stays
   * @throws {StoreFullError} when there is no room for it: see `makingRoom`
   */
  async addLayer(source: LayerSource, options: AddLayerOptions = {}): Promise<StoredLayer> {
    const adding = this.#addLayer(source, options);
    this.#underWay.add(adding);
    try {
      return await adding;
    } finally {
      this.#underWay.delete(adding);
    }
  }

  async #addLayer(source: LayerSource, options: AddLayerOptions): Promise<StoredLayer> {
    const { descriptor, diffId } = source;
    insistOnLayerType(descriptor);
    const { blobBytesMax } = this.#store.limits;
    if (descriptor.size > blobBytesMax)
      throw new ImageRefusedError(
        `layer ${descriptor.digest} is refused: it has ${descriptor.size} bytes as it comes, and ${blobBytesMax} are ` +
          `allowed: ${wayOut("blob")}`,
      );
    const present = await this.#find(source);
    if (present !== undefined) {
      this.#added.add(descriptor.digest).add(diffId);
      return this.#count(present);
    }
    const path = join(this.#store.directory, "locks", `${hexOf(diffId)}.lock`);
    await using _lock = await FileLock.acquire(path, options.signal);
    // Awaited here: the lock is dropped as soon as this returns.
    const added = await this.#find(source);
    return added === undefined ? await this.#add(source, options) : this.#count(added);
  }

  /**
   * Names an image whose layers have been added; its digest is that of `manifestBytes`.
   * @param origin `made`, unless it can be had from a registry again
   * @throws {ImageRefusedError} when the documents do not describe an image of layers that are here
   */
  async addImage(
    reference: string,
    manifestBytes: Uint8Array,
    configBytes: Uint8Array,
    origin: ImageOrigin = "made",
  ): Promise<StoredImage> {
    const manifest = refuseOnThrow("the manifest", () => parseDocument(imageManifest, manifestBytes));
    const config = refuseOnThrow("the configuration", () => parseDocument(imageConfig, configBytes));
    const diffIds = config.rootfs.diff_ids;
    if (digestOf(configBytes) !== manifest.config.digest)
      throw new ImageRefusedError("the configuration is not the one that the manifest names");
    if (diffIds.length !== manifest.layers.length)
      throw new ImageRefusedError(
        `the manifest has ${manifest.layers.length} layers, the configuration ${diffIds.length}`,
      );
    if (diffIds.length > LAYERS_MAX)
      throw new ImageRefusedError(`the image has ${diffIds.length} layers: ${LAYERS_MAX} can be mounted`);
    const layers: StoredLayer[] = [];
    for (const [index, descriptor] of manifest.layers.entries()) {
      insistOnLayerType(descriptor);
      const layer = await this.#store.layers.get(diffIds[index] ?? descriptor.digest);
      if (layer === undefined || !(await this.#store.hasBlob(descriptor.digest)))
        throw new Error(`layer ${descriptor.digest} has to be added before its image`);
      layers.push(layer);
    }
    const { impliedDirectoriesMax } = this.#store.limits;
    if (countImplied(layers) > impliedDirectoriesMax)
      throw new ImageRefusedError(
        `the image has more than ${impliedDirectoriesMax} directories that its layers have no entry of: list them`,
      );
    await this.#store.blobs.put(configBytes);
    const digest = await this.#store.blobs.put(manifestBytes);
    await this.#store.references.set(reference, digest, origin);
    this.#image = imageOf(this.#store);
    return { reference, digest, manifest, config, layers, lowerDirs: await this.#store.stack(layers) };
  }

  /** Waits for layers that nobody waits for any more, since another one has failed: what they have is no garbage yet. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.#underWay);
    if (!this.#isDisposed) this.#room?.room.leave();
    this.#isDisposed = true;
    await this.#hold[Symbol.asyncDispose]();
  }

  async #find({ descriptor, diffId }: LayerSource): Promise<StoredLayer | undefined> {
    if (!(await this.#store.hasBlob(descriptor.digest))) return undefined;
    const layer = await this.#store.layers.get(diffId);
    if (layer === undefined) return undefined;
    insistOnDescription(descriptor, layer, await this.#store.blobs.sizeOf(descriptor.digest));
    return isOf(layer, descriptor) ? layer : undefined;
  }

  /** Counts a layer that was here for the image that it is a part of. */
  #count(layer: StoredLayer): StoredLayer {
    const { allowance, counted } = this.#image;
    if (counted.has(layer.digest)) return layer;
    if (!take(allowance, layer.bytes)) throw tooLargeImage(this.#store);
    counted.add(layer.digest);
    return layer;
  }

  async #add({ descriptor, diffId, open }: LayerSource, { signal }: AddLayerOptions): Promise<StoredLayer> {
    const { blobs, layers, directory } = this.#store;
    const staged = join(directory, "staging", hexOf(diffId));
    const [blob, tree] = [`${staged}.blob`, `${staged}.layer`];
    await rm(tree, { recursive: true, force: true });
    const isBlobHere = await blobs.has(descriptor.digest);
    if (!isBlobHere) this.#reserve(descriptor);
    try {
      if (!isBlobHere) await receiveBlob(await open(), descriptor, blob, signal);
      const path = isBlobHere ? blobs.pathOf(descriptor.digest) : blob;
      const unpacked = await this.#unpack({ descriptor, diffId, path, tree }, signal);
      // It was unpacked from another blob: what this one holds has been compared, and is not needed twice.
      const present = await layers.get(diffId);
      if (present !== undefined && this.#room !== undefined) giveBack(this.#room.allowance, unpacked.bytes);
      if (!isBlobHere) await blobs.adopt(blob, descriptor.digest);
      this.#added.add(descriptor.digest).add(diffId);
      return present ?? (await layers.adopt(tree, diffId, { ...unpacked, blob: descriptor }));
    } catch (error) {
      if (!isBlobHere && this.#room !== undefined) giveBack(this.#room.allowance, descriptor.size);
      throw error;
    } finally {
      await rm(blob, { force: true });
      await rm(tree, { recursive: true, force: true });
    }
  }

  /** Takes the room of a blob that is to come. */
  #reserve({ digest, size }: Descriptor): void {
    if (this.#room !== undefined && !take(this.#room.allowance, size)) throw this.#storeFull(digest, size);
  }

  async #unpack(
    layer: { descriptor: Descriptor; diffId: Digest; path: string; tree: string },
    signal: AbortSignal | undefined,
  ): Promise<Pick<StoredLayer, "bytes" | "impliedDirectories">> {
    const { descriptor, diffId, path: blob, tree: directory } = layer;
    await mkdir(directory, { mode: 0o755 });
    const { layerBytesMax: bytesMax, layerEntriesMax: entriesMax } = this.#store.limits;
    const { allowance, counted } = this.#image;
    const spending = spendingOf(this.#room === undefined ? [allowance] : [allowance, this.#room.allowance]);
    const task: UnpackTask = {
      ...{ blob, diffId, directory, spending },
      compression: compressionOf(descriptor.mediaType),
      limits: { bytesMax, entriesMax },
    };
    const result = await unpackInThread(task, signal).catch((error: unknown) => {
      giveUp(spending);
      throw error;
    });
    if (result.kind === "unpacked") {
      counted.add(diffId);
      return { bytes: result.bytes, impliedDirectories: result.impliedDirectories };
    }
    const bytes = giveUp(spending);
    switch (result.kind) {
      case "refused":
        // It got as far as this, and one piece more has to fit.
        if (result.limit === "store") throw this.#storeFull(descriptor.digest, descriptor.size + bytes + PIECE_BYTES);
        if (result.limit === "image") throw tooLargeImage(this.#store);
        throw new ImageRefusedError(
          `layer ${descriptor.digest} is refused: ${result.reason}${result.limit ? `: ${wayOut(result.limit)}` : ""}`,
        );
      case "failed":
        throw new Error(`layer ${descriptor.digest} could not be unpacked: ${result.reason}`);
      default:
        return result satisfies never;
    }
  }

  #storeFull(layer: Digest, bytesNeeded: number): StoreFullError {
    return new StoreFullError(
      `there is no room for layer ${layer}: all images here may have ${this.#store.bytesMax} bytes, and those in use, and ` +
        `those made here, stay: remove images, or ${wayOut("store")}`,
      bytesNeeded,
      this.#added,
    );
  }
}

function imageOf({ limits }: ImageStore): { readonly allowance: Allowance; readonly counted: Set<Digest> } {
  return { allowance: allow("image", limits.bytesMax), counted: new Set() };
}

function tooLargeImage({ limits }: ImageStore): ImageRefusedError {
  return new ImageRefusedError(
    `the image is refused: its layers are larger than ${limits.bytesMax} bytes together, unpacked: ${wayOut("image")}`,
  );
}

function insistOnLayerType({ mediaType }: Descriptor): void {
  refuseOnThrow("a layer", () => compressionOf(mediaType));
}

/**
 * What is here is not read again, but has to be what the manifest says: it is pushed and exported with these words.
 * @param blobBytes undefined where the layer was built here, and its tar is made when it is asked for
 */
function insistOnDescription(
  { digest, size, mediaType }: Descriptor,
  { digest: diffId, bytes }: StoredLayer,
  blobBytes: number = bytes,
): void {
  if (blobBytes !== size)
    throw new ImageRefusedError(
      `layer ${digest} is refused: it has ${blobBytes} bytes, not the ${size} of its manifest`,
    );
  if (compressionOf(mediaType) === "none" && digest !== diffId)
    throw new ImageRefusedError(`layer ${digest} is refused: it is not compressed, and not the ${diffId} of its image`);
}

/** Whether a layer that is here is known to be what this blob holds; else only unpacking tells. */
function isOf({ blob }: StoredLayer, { digest, mediaType }: Descriptor): boolean {
  return blob?.digest === digest || compressionOf(mediaType) === "none";
}

function refuseOnThrow<Result>(what: string, parse: () => Result): Result {
  try {
    return parse();
  } catch (error) {
    throw new ImageRefusedError(`${what} is refused: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}
