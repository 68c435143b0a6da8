/**
 * Images from files. What a file is, its content says:
 *
 *   directory with oci-layout and index.json     OCI image layout
 *   tar with them                                the same, and what `docker save` writes since version 25
 *   tar with manifest.json                       `docker save` before, `podman save`, `skopeo copy … docker-archive:`
 *   any other tar                                a root file system: one layer
 *
 * Tars may be compressed. An archive of images that is gets decompressed into the store's staging directory first,
 * because its files are needed in another order than they are in; a root file system is not, its bytes are the blob.
 */
import { randomUUID } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { Platform } from "../registry/platform.ts";
import { wayOut } from "../image-limits.ts";
import { makingRoom } from "../room.ts";
import type { ImageStore, StoredImage } from "../store.ts";
import { decompress } from "../unpack/decompress.ts";
import { type ArchiveFiles, DirectoryFiles } from "./archive-files.ts";
import { compressionOfFile } from "./compression.ts";
import { imagesOfDockerArchive, isDockerArchive } from "./docker-archive.ts";
import { type ArchivedImage, imagesOfLayout, isLayout } from "./oci-layout.ts";
import { imageOfRootFileSystem } from "./root-file-system.ts";
import { TarFiles } from "./tar-files.ts";

export interface ImportOptions {
  /** What the image is called here; needed where the file does not say, and possible where it has one image only. */
  readonly name?: string | undefined;
  /** Which image is taken of those for several platforms. */
  readonly platform: Platform;
  /** What errors call the file; its path unless stated. */
  readonly displayName?: string | undefined;
  readonly signal?: AbortSignal;
}

/** What is imported. */
interface ImportedFile {
  readonly path: string;
  /** What people know it by. */
  readonly displayName: string;
}

/**
 * Imports all images of a file or directory.
 * @throws when it is none of what can be imported, or something is wrong with it; images before that stay
 */
export async function importImages(store: ImageStore, path: string, options: ImportOptions): Promise<StoredImage[]> {
  return makingRoom(store, () => importAll(store, path, options), options.signal);
}

async function importAll(store: ImageStore, path: string, options: ImportOptions): Promise<StoredImage[]> {
  await using addition = await store.beginAddition(options.signal);
  await using resources = new AsyncDisposableStack();
  const file = { path, displayName: options.displayName ?? path };
  const archived = await openArchive(store, file, options, resources);
  const imported: StoredImage[] = [];
  for (const [image, name] of nameImages(archived, file, options.name)) {
    imported.push(await image.add(addition, name, options.signal));
  }
  return imported;
}

async function openArchive(
  store: ImageStore,
  file: ImportedFile,
  { platform, signal }: ImportOptions,
  resources: AsyncDisposableStack,
): Promise<ArchivedImage[]> {
  const { path, displayName } = file;
  if (await isDirectory(path)) {
    const files = new DirectoryFiles(path);
    if (!(await isLayout(files)))
      throw new Error(
        `${displayName} is no OCI image layout: it has no oci-layout and index.json; of a root file system, make a tar`,
      );
    return imagesOfLayout(files, platform);
  }
  const compression = await compressionOfFile(path);
  const plain = compression === "none" ? path : join(store.directory, "staging", `${randomUUID()}.tar`);
  if (plain !== path) {
    resources.defer(() => rm(plain, { force: true }));
    const write = (pieces: AsyncIterable<Buffer>): Promise<void> =>
      pipeline(pieces, limited(displayName, store.limits.bytesMax), createWriteStream(plain, { mode: 0o600 }));
    await decompress(createReadStream(path), compression, write, signal);
  }
  return (
    (await imagesOf(await readTar(plain, displayName), platform)) ?? [
      await imageOfRootFileSystem(file, store.limits.layerBytesMax, signal),
    ]
  );
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    const isAbsent = error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR");
    if (!isAbsent) throw error;
    throw new Error(`there is no ${path}: name an OCI layout or a tar`, { cause: error });
  }
}

/** The parser's own words do not say what it could not read. */
async function readTar(plain: string, displayName: string): Promise<TarFiles> {
  try {
    return await TarFiles.read(plain);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`${displayName} cannot be read as a tar: ${reason}`, { cause: error });
  }
}

async function imagesOf(files: ArchiveFiles, platform: Platform): Promise<ArchivedImage[] | undefined> {
  if (await isLayout(files)) return imagesOfLayout(files, platform);
  if (await isDockerArchive(files)) return imagesOfDockerArchive(files, platform);
  return undefined;
}

/** An answer to compression bombs. */
function limited(displayName: string, bytesMax: number) {
  return async function* (pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    let bytes = 0;
    for await (const piece of pieces) {
      bytes += piece.length;
      if (bytes > bytesMax)
        throw new Error(`${displayName} is larger than ${bytesMax} bytes decompressed: ${wayOut("image")}`);
      yield piece;
    }
  };
}

function nameImages(
  images: readonly ArchivedImage[],
  { displayName }: ImportedFile,
  name: string | undefined,
): [ArchivedImage, string][] {
  const [first, ...others] = images;
  if (name !== undefined && first !== undefined) {
    if (others.length === 0) return [[first, name]];
    throw new Error(`${displayName} has ${images.length} images, which cannot all be ${name}: leave the name out`);
  }
  return images.map((image) => {
    if (image.name === undefined)
      throw new Error(`${displayName} does not say what its image is called: say it with --name`);
    return [image, image.name];
  });
}
