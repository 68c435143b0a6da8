/**
 * From a registry into the store:
 *
 *   reference ──▶ mirror, mirror, registry        the first that has all of it
 *                    │ manifest or index ──▶ manifest for our platform
 *                    │ configuration ──▶ diff ids
 *                    └ layers, some at once ──▶ in the store? ──▶ download, verify, unpack
 *   store: name ──▶ manifest ──▶ configuration, layers
 *
 * The name is set last, so an image is there with all that it needs, or not at all; layers that came before
 * something failed stay, and are not downloaded again.
 */
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import type { LayerSource } from "../addition.ts";
import { type ImageConfig, imageConfig, parseDocument } from "../oci.ts";
import { makingRoom } from "../room.ts";
import type { ImageStore, StoredImage } from "../store.ts";
import { RegistryClient } from "./client.ts";
import { concurrently } from "./concurrently.ts";
import { type Descriptor, LARGEST_DOCUMENT } from "./documents.ts";
import { downloadBlob } from "./download.ts";
import { type FetchedManifest, fetchManifest } from "./manifest.ts";
import { describePlatformFault, type Platform } from "./platform.ts";
import type { OnProgress, TransferState } from "./progress.ts";
import { formatReference, parseReference, type Reference } from "../../../shared/image-reference.ts";
import { RegistryError } from "./registry-error.ts";
import type { RegistrySettings } from "./settings.ts";

export interface TransferOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: OnProgress;
  /** Blobs that are moved at once; 3 unless stated, as many as Docker's. */
  readonly atOnce?: number;
}

/**
 * Pulls an image, unless all of it is here.
 * @param text a reference, short names included
 * @returns the image under its canonical name
 * @throws {RegistryError} when no mirror nor the registry has it, or what they have is not right
 */
export async function pullImage(
  store: ImageStore,
  text: string,
  settings: RegistrySettings,
  options: TransferOptions = {},
): Promise<StoredImage> {
  const reference = parseReference(text);
  for (const mirror of settings.mirrors.get(reference.registry) ?? []) {
    try {
      return await makingRoom(store, () => pullFrom(mirror, store, reference, settings, options), options.signal);
    } catch (error) {
      options.signal?.throwIfAborted();
      if (!(error instanceof RegistryError)) throw error;
      options.onProgress?.({ kind: "mirror_failed", mirror, reason: error.message });
    }
  }
  return makingRoom(store, () => pullFrom(reference.registry, store, reference, settings, options), options.signal);
}

async function pullFrom(
  registry: string,
  store: ImageStore,
  reference: Reference,
  settings: RegistrySettings,
  { signal, onProgress, atOnce = 3 }: TransferOptions,
): Promise<StoredImage> {
  const scope = new AbortController();
  const either = signal === undefined ? scope.signal : AbortSignal.any([signal, scope.signal]);
  const client = new RegistryClient(registry, {
    ...settings,
    signal: either,
    onRetry: ({ message }, pauseMs) => onProgress?.({ kind: "retry", reason: message, pauseMs }),
  });
  const fetched = await fetchManifest(client, reference, settings.platform);
  const name = formatReference(reference);
  const configBytes = await fetchConfig(client, store, reference.repository, fetched.manifest.config);
  const layers = layersOf(name, fetched, readConfig(name, configBytes, settings.platform));
  onProgress?.({
    kind: "planned",
    reference: name,
    digest: fetched.digest,
    blobs: layers.map(({ descriptor }) => descriptor),
  });

  await using addition = await store.beginAddition(either);
  await concurrently(layers, atOnce, scope, signal, async ({ descriptor, diffId }) => {
    const report = (state: TransferState) => onProgress?.({ kind: "blob", digest: descriptor.digest, state });
    let isDownloaded = false;
    const open = () => {
      isDownloaded = true;
      const blob = downloadBlob(client, reference.repository, descriptor);
      return Readable.from(
        counted(blob, (bytes) => report({ kind: "moving", bytes })),
        { objectMode: false },
      );
    };
    await addition.addLayer({ descriptor, diffId, open }, { signal: either });
    report({ kind: isDownloaded ? "done" : "present" });
  });
  return await addition.addImage(name, fetched.bytes, configBytes, "pulled");
}

/** What a manifest and its configuration say about a layer. */
type PulledLayer = Pick<LayerSource, "descriptor" | "diffId">;

/** The layers, each once: images may have the same one several times. */
function layersOf(name: string, { manifest }: FetchedManifest, { rootfs }: ImageConfig): PulledLayer[] {
  if (manifest.layers.length !== rootfs.diff_ids.length) {
    const counts = `${manifest.layers.length} layers, its configuration ${rootfs.diff_ids.length}`;
    throw new RegistryError(`image ${name}: its manifest has ${counts}`);
  }
  const layers = new Map<string, PulledLayer>();
  for (const [index, descriptor] of manifest.layers.entries()) {
    const diffId = rootfs.diff_ids[index];
    if (diffId !== undefined) layers.set(`${descriptor.digest} ${diffId}`, { descriptor, diffId });
  }
  return [...layers.values()];
}

function readConfig(name: string, bytes: Uint8Array, wanted: Platform): ImageConfig {
  let config: ImageConfig;
  try {
    config = parseDocument(imageConfig, bytes);
  } catch (error) {
    throw new RegistryError(`image ${name}: its configuration is malformed`, { cause: error });
  }
  const fault = describePlatformFault(config, wanted);
  if (fault !== undefined) throw new RegistryError(`image ${name}: ${fault}`);
  return config;
}

async function fetchConfig(
  client: RegistryClient,
  store: ImageStore,
  repository: string,
  descriptor: Descriptor,
): Promise<Buffer> {
  if (descriptor.size > LARGEST_DOCUMENT)
    throw new RegistryError(`configuration ${descriptor.digest}: has ${descriptor.size} bytes, which is too large`);
  if (await store.blobs.has(descriptor.digest)) return store.blobs.get(descriptor.digest);
  return buffer(downloadBlob(client, repository, descriptor));
}

/** Passes a stream on, and tells how much of it has passed, in bytes. */
async function* counted(
  stream: AsyncIterable<Uint8Array>,
  onBytes: (bytes: number) => void,
): AsyncGenerator<Uint8Array, void> {
  let bytes = 0;
  for await (const chunk of stream) {
    bytes += chunk.length;
    onBytes(bytes);
    yield chunk;
  }
}
