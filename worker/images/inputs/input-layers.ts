/**
 * Layers that jobs bring: blobs of clients, unpacked below a path, one copy on disk for all jobs that use one there.
 *
 *   blob ──▶ staging/<key>.blob ──▶ unpacking thread ──▶ staging/<key>.layer/ ──▶ layers/sha256/<key>/
 *            digest verified        limits, owner, place
 *
 * A directory is named by everything that it is made of: the blob, its place in the image with the directories above,
 * and the user whose it is. Images that have the same there share it. Overlayfs cannot show a lower layer at a path
 * other than its own, and a mount of its own for each would keep its own writable files, which neither a build's
 * layer nor a commit would get; so the layer is unpacked below the path, and costs a container as much as any other.
 */
import { mkdir, rm } from "node:fs/promises";
import type { BlobContent } from "../../../shared/blobs/storage.ts";
import { compressionOfFile } from "../archive/compression.ts";
import { receiveBlob } from "../blobs.ts";
import { type Digest, digestOf } from "../digest.ts";
import { type LayerNotes, LeasedLayers } from "../leased-layers.ts";
import type { StoredImage } from "../store.ts";
import { TreeError } from "../tree/file-tree.ts";
import { LAYER_LIMITS } from "../unpack/limits.ts";
import { unpackInThread } from "../unpack/pool.ts";
import type { Relocation } from "../unpack/relocation.ts";
import { findPlace, type Place } from "./place.ts";

/** A blob, and the directory of the container that its files are to be below. */
export interface InputLayer {
  readonly blob: Digest;
  readonly at: string;
}

/** Where blobs come from. */
export interface BlobSource {
  /** Undefined when there is no such blob. */
  open(digest: Digest): Promise<BlobContent | undefined>;
}

export interface InputLayersOptions {
  readonly blobs: BlobSource;
  /** The directory that containers have over an image's layers. */
  readonly initLayer: string;
  /** What one layer may hold, in bytes of its uncompressed tar. */
  readonly layerBytesMax: number;
  /** What all of them together may, besides those in use. */
  readonly bytesMax: number;
}

/** Layers that a container has until they are disposed of. */
export interface InputLease extends AsyncDisposable {
  /** Directories, lowest first. */
  readonly paths: readonly string[];
}

/** A layer cannot be had; the message says which, and why. */
export class InputLayerError extends Error {
  override readonly name = "InputLayerError";
  readonly code: "blob_unavailable" | "blob_refused" | "unusable_path";
  /** Whether it may be had another time. */
  readonly retry: "worthwhile" | "pointless";

  constructor(code: InputLayerError["code"], message: string, retry: InputLayerError["retry"], cause?: unknown) {
    super(message, { cause });
    this.code = code;
    this.retry = retry;
  }
}

/** Changes with how layers are made, so that those of an earlier version are not used. */
const VERSION = 2;

/** Places that are remembered: finding one takes some system calls for each layer of the image. */
const PLACES_KEPT = 1000;

type Owner = Relocation["owner"];

export class InputLayers {
  readonly #layers: LeasedLayers;
  readonly #options: InputLayersOptions;
  readonly #places = new Map<string, Place>();

  private constructor(layers: LeasedLayers, options: InputLayersOptions) {
    this.#layers = layers;
    this.#options = options;
  }

  /** Opens the layers in `directory`, which is made when it is missing. Any number of processes may use one. */
  static async open(directory: string, options: InputLayersOptions): Promise<InputLayers> {
    return new InputLayers(await LeasedLayers.open(directory, options.bytesMax), options);
  }

  /**
   * Makes sure that layers are here, and keeps them until the answer is disposed of.
   * @param inputs lowest first, over the layers of `image`
   * @param owner whose all of their files are
   * @param accept called with the path that each `at` leads to in the image; what it throws is thrown
   * @throws {InputLayerError}, or the reason of `signal`
   */
  async lease(
    inputs: readonly InputLayer[],
    image: Pick<StoredImage, "digest" | "lowerDirs">,
    owner: Owner,
    signal: AbortSignal,
    accept: (input: InputLayer, path: string) => void = () => undefined,
  ): Promise<InputLease> {
    await using leases = new AsyncDisposableStack();
    const paths: string[] = [];
    for (const [index, input] of inputs.entries()) {
      const below = [...image.lowerDirs, ...paths, this.#options.initLayer];
      const place = this.#place([image.digest, owner, inputs.slice(0, index), input.at], below, input);
      accept(input, `/${place.path}`);
      const key = digestOf(JSON.stringify({ VERSION, blob: input.blob, ...place, owner }));
      leases.use(await this.#layers.lease(key));
      const make = (directory: string) => this.#make(directory, input, { ...place, owner }, signal);
      const layer = (await this.#layers.get(key)) ?? (await this.#layers.add(key, make, signal));
      paths.push(layer.path);
    }
    const kept = leases.move();
    return { paths, [Symbol.asyncDispose]: () => kept.disposeAsync() };
  }

  /** Removes what has not been used since a point in time. @returns how many */
  async removeUnused(since: Date): Promise<number> {
    return await this.#layers.removeUnused(since);
  }

  #place(key: readonly unknown[], below: readonly string[], { blob, at }: InputLayer): Place {
    const name = JSON.stringify(key);
    const known = this.#places.get(name);
    if (known !== undefined) return known;
    try {
      const place = findPlace(below, at);
      this.#places.set(name, place);
      // A Map is in the order of insertion.
      for (const oldest of this.#places.keys()) {
        if (this.#places.size <= PLACES_KEPT) break;
        this.#places.delete(oldest);
      }
      return place;
    } catch (error) {
      if (!(error instanceof TreeError)) throw error;
      throw new InputLayerError("unusable_path", `blob ${blob} cannot be at ${at}: ${error.message}`, "pointless");
    }
  }

  async #make(directory: string, input: InputLayer, relocation: Relocation, signal: AbortSignal): Promise<LayerNotes> {
    const file = `${directory}.blob`;
    try {
      await this.#receive(input, file, signal);
      await mkdir(directory, { mode: 0o755 });
      return { bytes: await this.#unpack(input, file, directory, relocation, signal) };
    } finally {
      await rm(file, { force: true });
    }
  }

  async #receive({ blob, at }: InputLayer, file: string, signal: AbortSignal): Promise<void> {
    const what = `blob ${blob} of the layer at ${at}`;
    let content: BlobContent | undefined;
    try {
      content = await this.#options.blobs.open(blob);
      if (content !== undefined) {
        await receiveBlob(content.content, { digest: blob, size: content.bytes }, file, signal);
        return;
      }
    } catch (error) {
      signal.throwIfAborted();
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new InputLayerError("blob_unavailable", `${what} cannot be read: ${reason}`, "worthwhile", error);
    }
    const message = `${what} is gone: it has expired or was deleted, or LONGSHORE_BLOBS of this worker is not the API's`;
    throw new InputLayerError("blob_unavailable", message, "pointless");
  }

  async #unpack(
    { blob, at }: InputLayer,
    file: string,
    directory: string,
    relocation: Relocation,
    signal: AbortSignal,
  ): Promise<number> {
    const limits = { bytesMax: this.#options.layerBytesMax, entriesMax: LAYER_LIMITS.entriesMax };
    const compression = await compressionOfFile(file);
    const task = { blob: file, compression, diffId: undefined, directory, limits, relocation };
    const result = await unpackInThread(task, signal);
    switch (result.kind) {
      case "unpacked":
        return result.bytes;
      case "refused": {
        const message = `blob ${blob} of the layer at ${at} is refused: ${result.reason}`;
        throw new InputLayerError("blob_refused", message, "pointless");
      }
      case "failed":
        throw new Error(`blob ${blob} could not be unpacked: ${result.reason}`);
      default:
        return result satisfies never;
    }
  }
}
