/** Layers of builds on their way from one worker to another: a compressed tar, in the form of an image's layer. */
import { mkdir, rm } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { createZstdCompress } from "node:zlib";
import type { BlobContent } from "../../../shared/blobs/storage.ts";
import { compressionOfFile } from "../archive/compression.ts";
import { receiveBlob } from "../blobs.ts";
import type { Digest } from "../digest.ts";
import { packLayer } from "../layer-tar.ts";
import { LAYER_LIMITS } from "../unpack/limits.ts";
import { unpackInThread } from "../unpack/pool.ts";

/** A blob that is a layer. */
export interface InputArchive {
  readonly digest: Digest;
  /** Of the tar, uncompressed; it may have no more. */
  readonly bytes: number;
  readonly content: BlobContent;
}

/** Packs a layer's directory, which stays as it is. @throws when tar fails; what came before is then no whole archive */
export async function* packBuild(directory: string): AsyncGenerator<Uint8Array, void> {
  const compressed = createZstdCompress();
  const packing = pipeline(packLayer(directory), compressed);
  // Whoever reads is told, too.
  packing.catch(() => undefined);
  yield* compressed;
  await packing;
}

/**
 * Unpacks a layer into a directory that does not exist.
 * @returns its size, in bytes of its uncompressed tar
 * @throws for what is no layer, or not the one that the digest says; and the reason of `signal`
 */
export async function unpackBuild(archive: InputArchive, directory: string, signal: AbortSignal): Promise<number> {
  const { digest, bytes, content } = archive;
  const file = `${directory}.blob`;
  try {
    await receiveBlob(content.content, { digest, size: content.bytes }, file, signal);
    await mkdir(directory, { mode: 0o755 });
    const limits = { bytesMax: bytes, entriesMax: LAYER_LIMITS.entriesMax };
    const compression = await compressionOfFile(file);
    const result = await unpackInThread({ blob: file, compression, diffId: undefined, directory, limits }, signal);
    if (result.kind === "unpacked") return result.bytes;
    throw new Error(`layer ${digest} of another worker cannot be unpacked: ${result.reason}`);
  } finally {
    await rm(file, { force: true });
  }
}
