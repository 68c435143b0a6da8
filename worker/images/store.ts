/**
 * The images on a worker's disk.
 *
 *   references/<name>            digest of a manifest
 *         │
 *   blobs/sha256/<hex>           OCI manifest ──▶ OCI configuration
 *         │                                            │ rootfs.diff_ids, lowest first
 *   layers/sha256/<diff id>/     directory  ◀──────────┘
 *   layers/sha256/<diff id>.json its size
 *   locks/, staging/             what builds hold and what they have not finished
 *
 * Content is written before what points to it, each by one rename, so readers need no lock and a crash leaves
 * at most unreferenced content. Any number of processes may use one directory.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { BlobStore } from "./blobs.ts";
import { type Digest, isDigest } from "./digest.ts";
import { LayerStore, type StoredLayer } from "./layers.ts";
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

/** What is stored, layers that images share counted once. */
export interface StoreSize {
  readonly images: number;
  readonly layers: number;
  readonly bytes: number;
}

export class ImageStore {
  readonly layers: LayerStore;
  readonly directory: string;
  readonly #blobs: BlobStore;
  readonly #references: ReferenceStore;
  /** Images by manifest digest: what a digest names never changes. */
  readonly #known = new Map<Digest, Omit<StoredImage, "reference">>();

  private constructor(directory: string, blobs: BlobStore, layers: LayerStore, references: ReferenceStore) {
    this.directory = directory;
    this.layers = layers;
    this.#blobs = blobs;
    this.#references = references;
  }

  /** Opens the store in `directory`, which is made when it is missing. */
  static async open(directory: string): Promise<ImageStore> {
    await mkdir(join(directory, "locks"), { recursive: true });
    await mkdir(join(directory, "staging"), { recursive: true });
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
    const digest = isDigest(reference) ? reference : await this.#references.get(reference);
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
    const images = await Promise.all((await this.#references.list()).map((reference) => this.resolve(reference)));
    return images.filter((image) => image !== undefined);
  }

  async size(): Promise<StoreSize> {
    const [images, layers] = await Promise.all([this.#references.list(), this.layers.list()]);
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
        digest: await this.#blobs.put(configText),
        size: Buffer.byteLength(configText),
      },
      layers: layers.map(({ digest, bytes }) => ({ mediaType: MediaType.layer, digest, size: bytes })),
      annotations: { ...annotations },
    };
    const digest = await this.#blobs.put(JSON.stringify(manifest));
    await this.#references.set(reference, digest);
    return { reference, digest, manifest, config, layers };
  }

  /** Manifests of images that lost their name stay on disk: they are no images any more. */
  async #isNamed(digest: Digest): Promise<boolean> {
    const digests = await Promise.all((await this.#references.list()).map((name) => this.#references.get(name)));
    return digests.includes(digest);
  }

  async #load(digest: Digest): Promise<Omit<StoredImage, "reference">> {
    const manifest = imageManifest.parse(JSON.parse(await this.#blobs.get(digest)));
    const config = imageConfig.parse(JSON.parse(await this.#blobs.get(manifest.config.digest)));
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
