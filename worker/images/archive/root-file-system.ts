import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type Digest, digestOf } from "../digest.ts";
import { wayOut } from "../image-limits.ts";
import { hostArchitecture, type ImageConfig, type ImageManifest, MediaType } from "../oci.ts";
import { decompress } from "../unpack/decompress.ts";
import { compressionOfFile } from "./compression.ts";
import type { ArchivedImage } from "./oci-layout.ts";

/**
 * The tar of a root file system, compressed or not, as an image of one layer, without a command. It has no name.
 * The configuration says nothing of when or from where, so that the same tar is the same image everywhere.
 */
export async function imageOfRootFileSystem(
  { path, displayName }: { readonly path: string; readonly displayName: string },
  bytesMax: number,
  signal?: AbortSignal,
): Promise<ArchivedImage> {
  const compression = await compressionOfFile(path);
  const [blob, plain] = [createHash("sha256"), createHash("sha256")];
  let [size, bytes] = [0, 0];
  const measure = async function* (pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const piece of pieces) {
      blob.update(piece);
      size += piece.length;
      yield piece;
    }
  };
  const hashPlain = async (pieces: AsyncIterable<Buffer>): Promise<void> => {
    for await (const piece of pieces) {
      bytes += piece.length;
      if (bytes > bytesMax)
        throw new Error(`${displayName} is larger than ${bytesMax} bytes unpacked: ${wayOut("bytes")}`);
      plain.update(piece);
    }
  };
  await decompress(measure(createReadStream(path)), compression, hashPlain, signal);
  const diffId: Digest = `sha256:${plain.digest("hex")}`;
  const layer = {
    mediaType: compression === "none" ? MediaType.layer : `${MediaType.layer}+${compression}`,
    digest: `sha256:${blob.digest("hex")}` as const,
    size,
  };
  const config: ImageConfig = {
    architecture: hostArchitecture(),
    os: "linux",
    config: {},
    rootfs: { type: "layers", diff_ids: [diffId] },
    history: [{ created_by: "longshore images import" }],
  };
  const configBytes = Buffer.from(JSON.stringify(config));
  const manifest: ImageManifest = {
    schemaVersion: 2,
    mediaType: MediaType.manifest,
    config: { mediaType: MediaType.config, digest: digestOf(configBytes), size: configBytes.length },
    layers: [layer],
  };
  return {
    name: undefined,
    async add(addition, name, stop) {
      await addition.addLayer(
        { descriptor: layer, diffId, open: () => createReadStream(path) },
        { ...(stop && { signal: stop }) },
      );
      return addition.addImage(name, Buffer.from(JSON.stringify(manifest)), configBytes);
    },
  };
}
