/**
 * The images on a worker's disk.
 *
 *   references/<name>            digest of a manifest
 *         │
 *   blobs/sha256/<hex>           OCI manifest ──▶ OCI configuration, compressed layers
 *         │                                            │ rootfs.diff_ids, lowest first
 *   layers/sha256/<diff id>/     directory  ◀──────────┘
 *   layers/sha256/<diff id>.json its size
 *   locks/, staging/             what additions hold and what they have not finished
 *
 * Content is written before what points to it, each by one rename, so readers need no lock and a crash leaves
 * at most unreferenced content. Any number of processes may use one directory.
 *
 * The compressed blobs of layers that came from elsewhere are kept for as long as their image, as containerd does: no
 * compressor gives another's bytes again, and an image that is pushed or exported has to keep its digest. It costs
 * about a third more disk. Layers that were built here have none: their tar is made from the directory again.
 */
import { chmod, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { ImageAddition } from "./addition.ts";
import { BlobStore } from "./blobs.ts";
import { type Digest, isDigest } from "./digest.ts";
import { packLayer } from "./layer-tar.ts";
import { LayerStore, type StoredLayer } from "./layers.ts";
import { FileLock } from "./lock.ts";
import { type ImageConfig, imageConfig, type ImageManifest, imageManifest, MediaType } from "./oci.ts";
import { ReferenceStore } from "./references.ts";

/** An image pinned to its content. */
export interface StoredImage {
  /** The name it was asked for by. */
  readonly reference: string;
  /** Digest of its manifest. */
  readonly digest: Digest;
  readonly manifest: ImageManifest;
  readonly config: ImageConfig;
  /** Lowest first. */
  readonly layers: readonly StoredLayer[];
}

/** Held shared by those who add content, and exclusively by garbage collection. */
const CONTENT_LOCK = "locks/content.lock";

/** What is stored, layers that images share counted once. */
export interface StoreSize {
  readonly images: number;
  readonly layers: number;
  readonly bytes: number;
}

export class ImageStore {
  readonly layers: LayerStore;
  readonly directory: string;
  readonly blobs: BlobStore;
  readonly references: ReferenceStore;
  /** Images by manifest digest: what a digest names never changes. */
  readonly #known = new Map<Digest, Omit<StoredImage, "reference">>();

  private constructor(directory: string, blobs: BlobStore, layers: LayerStore, references: ReferenceStore) {
    this.directory = directory;
    this.layers = layers;
    this.blobs = blobs;
    this.references = references;
  }

  /** Opens the store in `directory`, which is made when it is missing. */
  static async open(directory: string): Promise<ImageStore> {
    await mkdir(join(directory, "locks"), { recursive: true });
    const staging = join(directory, "staging");
    await mkdir(staging, { recursive: true });
    await chmod(staging, 0o700);
    return new ImageStore(
      directory,
      await BlobStore.open(join(directory, "blobs")),
      await LayerStore.open(join(directory, "layers")),
      await ReferenceStore.open(join(directory, "references")),
    );
  }

  /**
   * Finds an image by name, or by the digest of its manifest.
   * @returns undefined when there is no such image here
   * @throws when the store is damaged
   */
  async resolve(reference: string): Promise<StoredImage | undefined> {
    const digest = isDigest(reference) ? reference : await this.references.get(reference);
    if (digest === undefined) return undefined;
    let known = this.#known.get(digest);
    if (known === undefined) {
      if (digest === reference && !(await this.#isNamed(digest))) return undefined;
      known = await this.#load(digest);
      this.#known.set(digest, known);
    }
    return { reference, ...known };
  }

  /** All named images, by name. */
  async list(): Promise<StoredImage[]> {
    const images = await Promise.all((await this.references.list()).map((reference) => this.resolve(reference)));
    return images.filter((image) => image !== undefined);
  }

  async size(): Promise<StoreSize> {
    const [images, layers] = await Promise.all([this.references.list(), this.layers.list()]);
    return { images: images.length, layers: layers.length, bytes: layers.reduce((sum, layer) => sum + layer.bytes, 0) };
  }

  /**
   * Names an image made of layers that are in the store.
   * @param config its `rootfs.diff_ids` name `layers`, in the same order
   */
  async commit(
    reference: string,
    config: ImageConfig,
    layers: readonly StoredLayer[],
    annotations: Readonly<Record<string, string>>,
  ): Promise<StoredImage> {
    const configText = JSON.stringify(config);
    const manifest: ImageManifest = {
      schemaVersion: 2,
      mediaType: MediaType.manifest,
      config: {
        mediaType: MediaType.config,
        digest: await this.blobs.put(configText),
        size: Buffer.byteLength(configText),
      },
      layers: layers.map(({ digest, bytes }) => ({ mediaType: MediaType.layer, digest, size: bytes })),
      annotations: { ...annotations },
    };
    const digest = await this.blobs.put(JSON.stringify(manifest));
    await this.references.set(reference, digest);
    return { reference, digest, manifest, config, layers };
  }

  /**
   * Keeps garbage collection away until it is disposed of: whoever adds content holds this from before the first piece
   * until an image names all of it. Any number may hold it at once.
   */
  async keepContent(signal?: AbortSignal): Promise<AsyncDisposable> {
    return FileLock.acquire(join(this.directory, CONTENT_LOCK), signal, "shared");
  }

  /** Begins to add an image from elsewhere, see {@link ImageAddition}. Dispose of it when the image is named. */
  async beginAddition(signal?: AbortSignal): Promise<ImageAddition> {
    return new ImageAddition(this, await this.keepContent(signal));
  }

  /** Whether {@link openBlob} has a blob: a manifest, a configuration, or a layer as its manifest describes it. */
  async hasBlob(digest: Digest): Promise<boolean> {
    return (await this.blobs.has(digest)) || this.layers.canBePacked(digest);
  }

  /**
   * Reads a blob, from its file or, of a layer that was built here, from its directory.
   * @throws when there is none
   */
  async openBlob(digest: Digest): Promise<Readable> {
    if (await this.blobs.has(digest)) return this.blobs.read(digest);
    if (await this.layers.canBePacked(digest)) return Readable.from(packLayer(this.layers.pathOf(digest)));
    throw new Error(`blob ${digest} is not in ${this.directory}: pull or import its image again`);
  }

  /** Manifests of images that lost their name stay on disk: they are no images any more. */
  async #isNamed(digest: Digest): Promise<boolean> {
    const digests = await Promise.all((await this.references.list()).map((name) => this.references.get(name)));
    return digests.includes(digest);
  }

  async #load(digest: Digest): Promise<Omit<StoredImage, "reference">> {
    const manifest = imageManifest.parse(JSON.parse((await this.blobs.get(digest)).toString()));
    const config = imageConfig.parse(JSON.parse((await this.blobs.get(manifest.config.digest)).toString()));
    const layers: StoredLayer[] = [];
    for (const diffId of config.rootfs.diff_ids) {
      const layer = await this.layers.get(diffId);
      if (layer === undefined)
        throw new Error(`layer ${diffId} of image ${digest} is missing from ${this.directory}: build the image again`);
      layers.push(layer);
    }
    return { digest, manifest, config, layers };
  }
}
