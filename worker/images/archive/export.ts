/**
 * Images into an OCI image layout, a directory or a tar, that skopeo, umoci, podman and Docker (25 and later) read.
 * Manifests, configurations and blobs go out as they are here, so an image keeps its digest.
 */
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { pack } from "tar-stream";
import { receiveBlob, verifyBlob } from "../blobs.ts";
import type { Descriptor } from "../oci.ts";
import { MediaType } from "../oci.ts";
import type { ImageStore, StoredImage } from "../store.ts";
import { BLOBS, LAYOUT_VERSION, pathOf, RefName } from "./oci-layout.ts";

/** Where a layout is written, file by file. */
interface LayoutWriter {
  writeDocument(path: string, content: string): Promise<void>;
  writeBlob(descriptor: Pick<Descriptor, "digest" | "size">, content: Readable): Promise<void>;
}

/**
 * Writes images to a directory, which has to be empty or not there.
 * @throws when it is not empty, or something cannot be written; what was written is gone then
 */
export async function exportToDirectory(
  store: ImageStore,
  images: readonly StoredImage[],
  directory: string,
  signal?: AbortSignal,
): Promise<void> {
  await mkdir(directory, { recursive: true });
  if ((await readdir(directory)).length > 0) throw new Error(`${directory} is not empty: name another directory`);
  try {
    await mkdir(join(directory, BLOBS), { recursive: true });
    await writeLayout(store, images, {
      writeDocument: (path, content) => writeFile(join(directory, path), content),
      writeBlob: (descriptor, content) =>
        receiveBlob(content, descriptor, join(directory, pathOf(descriptor.digest)), signal),
    });
  } catch (error) {
    for (const name of await readdir(directory)) await rm(join(directory, name), { recursive: true });
    throw error;
  }
}

/**
 * Writes images to a stream, as a tar.
 * @throws when something cannot be read or written; the tar is not whole then
 */
export async function exportToTar(
  store: ImageStore,
  images: readonly StoredImage[],
  output: Writable,
  signal?: AbortSignal,
): Promise<void> {
  const archive = pack();
  const mtime = new Date(0);
  const write = async (): Promise<void> => {
    await writeLayout(store, images, {
      async writeDocument(name, content) {
        archive.entry({ name, mtime }, content);
      },
      async writeBlob(descriptor, content) {
        const entry = archive.entry({ name: pathOf(descriptor.digest), size: descriptor.size, mtime });
        await pipeline(content, (pieces: AsyncIterable<Uint8Array>) => verifyBlob(pieces, descriptor), entry);
      },
    });
    archive.finalize();
  };
  const writing = write().catch((error: unknown) =>
    archive.destroy(error instanceof Error ? error : new Error(String(error))),
  );
  await pipeline(archive, output, { ...(signal && { signal }) });
  await writing;
}

async function writeLayout(store: ImageStore, images: readonly StoredImage[], writer: LayoutWriter): Promise<void> {
  await writer.writeDocument("oci-layout", JSON.stringify({ imageLayoutVersion: LAYOUT_VERSION }));
  const written = new Set<string>();
  const manifests: object[] = [];
  for (const image of images) {
    const size = (await store.blobs.sizeOf(image.digest)) ?? 0;
    for (const blob of [{ digest: image.digest, size }, image.manifest.config, ...image.manifest.layers]) {
      if (written.has(blob.digest)) continue;
      written.add(blob.digest);
      await writer.writeBlob(blob, await store.openBlob(blob.digest));
    }
    manifests.push({
      mediaType: image.manifest.mediaType ?? MediaType.manifest,
      digest: image.digest,
      size,
      platform: { architecture: image.config.architecture, os: image.config.os },
      annotations: { [RefName.oci]: image.reference, [RefName.containerd]: image.reference },
    });
  }
  await writer.writeDocument("index.json", JSON.stringify({ schemaVersion: 2, mediaType: MediaType.index, manifests }));
}
