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
import type { StoredLayer } from "./layers.ts";
import { FileLock } from "./lock.ts";
import { compressionOf, type Descriptor, imageConfig, imageManifest, parseDocument } from "./oci.ts";
import type { ImageOrigin } from "./references.ts";
import type { ImageStore, StoredImage } from "./store.ts";
import { LAYER_LIMITS, LAYERS_MAX, type LayerLimits } from "./unpack/limits.ts";
import { unpackInThread } from "./unpack/pool.ts";

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
  readonly limits?: LayerLimits;
}

/** An image from elsewhere cannot be had, because it is malformed, hostile, or of a kind that is not understood. */
export class ImageRefusedError extends Error {
  override readonly name = "ImageRefusedError";
}

/** An image that is being added. Garbage collection waits until it is disposed of. */
export class ImageAddition implements AsyncDisposable {
  readonly #store: ImageStore;
  readonly #hold: AsyncDisposable;

  constructor(store: ImageStore, hold: AsyncDisposable) {
    this.#store = store;
    this.#hold = hold;
  }

  /**
   * Adds a layer, blob and directory, unless the store has them.
   * @throws {ImageRefusedError} when the layer is not what it may be; nothing of it stays
   */
  async addLayer(source: LayerSource, options: AddLayerOptions = {}): Promise<StoredLayer> {
    const { descriptor, diffId } = source;
    insistOnLayerType(descriptor);
    const present = await this.#find(source);
    if (present !== undefined) return present;
    const path = join(this.#store.directory, "locks", `${hexOf(diffId)}.lock`);
    await using _lock = await FileLock.acquire(path, options.signal);
    // Awaited here: the lock is dropped as soon as this returns.
    return (await this.#find(source)) ?? (await this.#add(source, options));
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
    await this.#store.blobs.put(configBytes);
    const digest = await this.#store.blobs.put(manifestBytes);
    await this.#store.references.set(reference, digest, origin);
    return { reference, digest, manifest, config, layers, lowerDirs: await this.#store.stack(layers) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#hold[Symbol.asyncDispose]();
  }

  async #find({ descriptor, diffId }: LayerSource): Promise<StoredLayer | undefined> {
    return (await this.#store.hasBlob(descriptor.digest)) ? this.#store.layers.get(diffId) : undefined;
  }

  async #add({ descriptor, diffId, open }: LayerSource, { signal, limits }: AddLayerOptions): Promise<StoredLayer> {
    const { blobs, layers, directory } = this.#store;
    const staged = join(directory, "staging", hexOf(diffId));
    const [blob, tree] = [`${staged}.blob`, `${staged}.layer`];
    await rm(tree, { recursive: true, force: true });
    try {
      const isBlobHere = await blobs.has(descriptor.digest);
      if (!isBlobHere) await receiveBlob(await open(), descriptor, blob, signal);
      const present = await layers.get(diffId);
      const path = isBlobHere ? blobs.pathOf(descriptor.digest) : blob;
      const unpacked =
        present ?? (await this.#unpack({ descriptor, diffId, path, tree }, limits ?? LAYER_LIMITS, signal));
      if (!isBlobHere) await blobs.adopt(blob, descriptor.digest);
      return present ?? (await layers.adopt(tree, diffId, { ...unpacked, blob: descriptor }));
    } finally {
      await rm(blob, { force: true });
      await rm(tree, { recursive: true, force: true });
    }
  }

  async #unpack(
    layer: { descriptor: Descriptor; diffId: Digest; path: string; tree: string },
    limits: LayerLimits,
    signal: AbortSignal | undefined,
  ): Promise<Pick<StoredLayer, "bytes" | "impliedDirectories">> {
    const { descriptor, diffId, path: blob, tree: directory } = layer;
    await mkdir(directory, { mode: 0o755 });
    const compression = compressionOf(descriptor.mediaType);
    const result = await unpackInThread({ blob, compression, diffId, directory, limits }, signal);
    switch (result.kind) {
      case "unpacked":
        return { bytes: result.bytes, impliedDirectories: result.impliedDirectories };
      case "refused":
        throw new ImageRefusedError(`layer ${descriptor.digest} is refused: ${result.reason}`);
      case "failed":
        throw new Error(`layer ${descriptor.digest} could not be unpacked: ${result.reason}`);
      default:
        return result satisfies never;
    }
  }
}

function insistOnLayerType({ mediaType }: Descriptor): void {
  refuseOnThrow("a layer", () => compressionOf(mediaType));
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
