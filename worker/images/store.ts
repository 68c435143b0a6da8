/**
 * The images on a worker's disk.
 *
 *   references/<name>            digest of a manifest
 *         │
 *   blobs/sha256/<hex>           OCI manifest ──▶ OCI configuration, compressed layers
 *         │                                            │ rootfs.diff_ids, lowest first
 *   layers/sha256/<diff id>/     directory  ◀──────────┘
 *   layers/sha256/<diff id>.json its size
 *   parents/<hex>/               directories that layers only imply, with the attributes that they have in an image
 *   leases/<hex>                 locked while the image is in use; its mtime is when it was last
 *   kept/<job>.json              image and layers of a run that is kept for a while, see kept/keep-layers.ts
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
import { type DescribedLayer, describeOwnLayer } from "./described-layers.ts";
import { IMAGE_LIMITS, type ImageLimits } from "./image-limits.ts";
import { ImpliedParents, parentsKeyOf } from "./parents/implied-parents.ts";
import { KeptStore } from "./kept/kept-store.ts";
import { packLayer } from "./layer-tar.ts";
import { LayerStore, type StoredLayer } from "./layers.ts";
import { LeaseStore } from "./leases.ts";
import { FileLock } from "./lock.ts";
import { type ImageConfig, imageConfig, type ImageManifest, imageManifest, MediaType } from "./oci.ts";
import { ReferenceStore } from "./references.ts";
import { Room } from "./room.ts";

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
  /** What is stacked to see the image, lowest first: directories of the layers, and see `parents/implied-parents.ts`. */
  readonly lowerDirs: readonly string[];
}

/** What an image consists of, without a name and before anybody wants to see its files. */
export type ImageContent = Omit<StoredImage, "reference" | "lowerDirs">;

/** Held shared by those who add content, and exclusively by garbage collection. */
const CONTENT_LOCK = "locks/content.lock";

/** An image that somebody uses. */
export interface ImageLease extends AsyncDisposable {
  readonly image: StoredImage;
}

/** What is stored, layers that images share counted once. */
export interface StoreSize {
  readonly images: number;
  readonly layers: number;
  readonly bytes: number;
}

/** How much a store takes. */
export interface ImageStoreOptions {
  /** What comes from elsewhere may hold no more; `IMAGE_LIMITS` where it does not say. */
  readonly limits?: Partial<ImageLimits>;
  /** What all of it may hold, in bytes, layers and blobs. No limit when undefined. */
  readonly bytesMax?: number | undefined;
}

export class ImageStore {
  readonly layers: LayerStore;
  readonly directory: string;
  readonly blobs: BlobStore;
  readonly references: ReferenceStore;
  readonly leases: LeaseStore;
  readonly kept: KeptStore;
  readonly parents: ImpliedParents;
  readonly limits: ImageLimits;
  readonly bytesMax: number | undefined;
  readonly #room: Room | undefined;
  /** Images by manifest digest: what a digest names never changes. */
  readonly #known = new Map<Digest, ImageContent>();

  private constructor(
    directory: string,
    parts: Pick<ImageStore, "blobs" | "layers" | "references" | "leases" | "kept" | "parents">,
    { limits, bytesMax }: ImageStoreOptions,
  ) {
    this.directory = directory;
    this.layers = parts.layers;
    this.blobs = parts.blobs;
    this.references = parts.references;
    this.leases = parts.leases;
    this.kept = parts.kept;
    this.parents = parts.parents;
    this.limits = { ...IMAGE_LIMITS, ...limits };
    this.bytesMax = bytesMax;
    this.#room = bytesMax === undefined ? undefined : new Room(this, bytesMax);
  }

  /** Opens the store in `directory`, which is made when it is missing. */
  static async open(directory: string, options: ImageStoreOptions = {}): Promise<ImageStore> {
    await mkdir(join(directory, "locks"), { recursive: true });
    const staging = join(directory, "staging");
    await mkdir(staging, { recursive: true });
    await chmod(staging, 0o700);
    const parts = {
      blobs: await BlobStore.open(join(directory, "blobs")),
      layers: await LayerStore.open(join(directory, "layers")),
      references: await ReferenceStore.open(join(directory, "references")),
      leases: await LeaseStore.open(join(directory, "leases")),
      parents: await ImpliedParents.open(join(directory, "parents")),
      kept: await KeptStore.open(join(directory, "kept"), join(directory, "locks/kept.lock")),
    };
    return new ImageStore(directory, parts, options);
  }

  /**
   * Finds an image by name, or by the digest of its manifest.
   * @returns undefined when there is no such image here
   * @throws when the store is damaged
   */
  async resolve(reference: string): Promise<StoredImage | undefined> {
    const digest = isDigest(reference) ? reference : await this.references.get(reference);
    if (digest === undefined) return undefined;
    if (digest === reference && !(await this.#isNamed(digest))) return undefined;
    let known = this.#known.get(digest);
    if (known === undefined) {
      known = await this.#load(digest);
      this.#known.set(digest, known);
    }
    return { reference, ...known, lowerDirs: await this.stack(known.layers) };
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
   * Names an image made of layers that are in the store, each by the blob that it came as.
   * @param config its `rootfs.diff_ids` name `layers`, in the same order
   */
  async commit(
    reference: string,
    config: ImageConfig,
    layers: readonly StoredLayer[],
    annotations: Readonly<Record<string, string>>,
  ): Promise<StoredImage> {
    const described = layers.map((layer): DescribedLayer => {
      const { blob: descriptor } = layer;
      return descriptor === undefined ? describeOwnLayer(layer) : { layer, descriptor };
    });
    return this.commitDescribed([reference], config, described, annotations);
  }

  /** As {@link commit}, by one or more names, and with layers as the manifest is to describe them. */
  async commitDescribed(
    names: readonly [string, ...string[]],
    config: ImageConfig,
    described: readonly DescribedLayer[],
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
      layers: described.map(({ descriptor }) => descriptor),
      annotations: { ...annotations },
    };
    const digest = await this.blobs.put(JSON.stringify(manifest));
    for (const name of names) await this.references.set(name, digest, "made");
    const layers = described.map(({ layer }) => layer);
    return { reference: names[0], digest, manifest, config, layers, lowerDirs: await this.stack(layers) };
  }

  /** Directories to be stacked, lowest first, to see the files of layers as an image of them has them. */
  async stack(layers: readonly StoredLayer[]): Promise<readonly string[]> {
    const directories = layers.map(({ path }) => path);
    const key = parentsKeyOf(layers);
    if (key === undefined) return directories;
    const present = this.parents.find(key);
    if (present !== undefined) return [...directories, present];
    await using _content = await this.keepContent();
    return [...directories, await this.parents.make(key, layers, join(this.directory, "staging"))];
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
    const hold = await this.keepContent(signal);
    try {
      return new ImageAddition(this, hold, this.#room && { allowance: await this.#room.enter(), room: this.#room });
    } catch (error) {
      await hold[Symbol.asyncDispose]();
      throw error;
    }
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

  /**
   * Finds an image like {@link resolve}, and keeps garbage collection from it until the answer is disposed of, in
   * whatever process that runs. Whoever mounts an image's layers holds this for as long.
   */
  async lease(reference: string): Promise<ImageLease | undefined> {
    for (;;) {
      const found = await this.resolve(reference);
      if (found === undefined) return undefined;
      const lease = await this.leases.take(found.digest);
      // What was found may have been removed, or its name may have moved, before the lease was there.
      const image = await this.resolve(reference);
      if (image?.digest === found.digest) return { image, [Symbol.asyncDispose]: () => lease[Symbol.asyncDispose]() };
      await lease[Symbol.asyncDispose]();
    }
  }

  /** Takes a name from its image. The content stays until garbage is collected. @returns whether there was such a name */
  async untag(reference: string): Promise<boolean> {
    return this.references.remove(reference);
  }

  /** Keeps everybody out who adds content, see {@link keepContent}; undefined when somebody does right now. */
  async tryKeepAdditionsOut(): Promise<AsyncDisposable | undefined> {
    return FileLock.tryAcquire(join(this.directory, CONTENT_LOCK));
  }

  /** Waits for those who add content, and keeps everybody out. @throws the reason of `signal` */
  async keepAdditionsOut(signal: AbortSignal): Promise<AsyncDisposable> {
    return FileLock.acquire(join(this.directory, CONTENT_LOCK), signal);
  }

  /** What an image consists of, whether it has a name or not; undefined when it is not here, or not whole. */
  async load(digest: Digest): Promise<ImageContent | undefined> {
    return (await this.blobs.has(digest)) ? this.#load(digest) : undefined;
  }

  /** Manifests of images that lost their name stay on disk: they are no images any more. */
  async #isNamed(digest: Digest): Promise<boolean> {
    const digests = await Promise.all((await this.references.list()).map((name) => this.references.get(name)));
    return digests.includes(digest);
  }

  async #load(digest: Digest): Promise<ImageContent> {
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
