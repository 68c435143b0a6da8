/** A layer of many files, as real ones are: the root file system of stored images, in each form that a tool can take. */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { createGzip, createZstdCompress, constants as zlib } from "node:zlib";
import { loadConfig } from "../../../shared/config.ts";
import { type Digest, digestOf, hexOf } from "../../../worker/images/digest.ts";
import { hostArchitecture, MediaType } from "../../../worker/images/oci.ts";
import { ImageStore } from "../../../worker/images/store.ts";

const run = promisify(execFile);

/** Debian with a C++ compiler and four interpreters: about 630 MB in 13,000 files, 200 MB compressed. */
const IMAGES = ["debian", "cpp", "javascript", "python", "ruby", "php"];

export const compressions = ["gzip", "zstd"] as const;
export type SampleCompression = (typeof compressions)[number];

export interface SampleLayer {
  /** Digest of the uncompressed tar. */
  readonly diffId: Digest;
  readonly bytes: number;
  readonly entries: number;
  /** The compressed file, also inside of `layout`. */
  readonly blobs: Readonly<Record<SampleCompression, { readonly path: string; readonly bytes: number }>>;
  /** An OCI image layout, whose tags are the compressions. */
  readonly layout: string;
}

/**
 * Packs the layers of the shipped images on each other into one.
 * @throws {Error} when they are not stored
 */
export async function makeSampleLayer(directory: string): Promise<SampleLayer> {
  const root = join(directory, "root");
  const tar = join(directory, "layer.tar");
  await mkdir(root, { recursive: true });
  await run("unshare", ["--mount", "sh", "-ec", PACK, "sh", (await findLayers()).join(":"), root, tar]);
  const { stdout: names } = await run("tar", ["--list", "--file", tar], { maxBuffer: Number.POSITIVE_INFINITY });
  const hash = createHash("sha256");
  for await (const piece of createReadStream(tar)) hash.update(piece);
  const diffId: Digest = `sha256:${hash.digest("hex")}`;
  const entries = names.split("\n").length - 1;
  const { size: bytes } = await stat(tar);

  const layout = join(directory, "layout");
  await mkdir(join(layout, "blobs/sha256"), { recursive: true });
  const gzip = await compress(tar, layout, "gzip");
  const zstd = await compress(tar, layout, "zstd");
  await rm(tar);
  await writeIndex(layout, [
    await writeImage(layout, "gzip", diffId, gzip),
    await writeImage(layout, "zstd", diffId, zstd),
  ]);
  return { diffId, bytes, entries, blobs: { gzip, zstd }, layout };
}

/** In a mount namespace of its own, with which the mount goes: layers as overlay wants them, mount point, tar. */
const PACK = `
mount -t overlay overlay -o "lowerdir=$1" "$2"
tar --create --sort=name --numeric-owner --format=posix --xattrs --xattrs-include=security.capability \\
  --pax-option=delete=atime,delete=ctime,delete=mtime --directory "$2" --file "$3" .`;

/** The directories of all layers, topmost first. */
async function findLayers(): Promise<string[]> {
  const store = await ImageStore.open(join(loadConfig(process.env).dataDirectory, "images"));
  const layers = new Set<string>();
  for (const name of IMAGES) {
    const image = await store.resolve(name);
    if (image === undefined) throw new Error(`image ${name} is not stored: npx longshore images build ${name}`);
    for (const { path } of image.layers) layers.add(path);
  }
  return [...layers].toReversed();
}

interface Blob {
  readonly path: string;
  readonly digest: Digest;
  readonly bytes: number;
}

/** At the levels that Docker and umoci (gzip 6) and containerd (zstd 3) write. */
async function compress(tar: string, layout: string, compression: SampleCompression): Promise<Blob> {
  const compressor =
    compression === "gzip"
      ? createGzip({ level: 6 })
      : createZstdCompress({ params: { [zlib.ZSTD_c_compressionLevel]: 3 } });
  const path = join(layout, compression);
  const hash = createHash("sha256");
  const hashed = async function* (pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const piece of pieces) {
      hash.update(piece);
      yield piece;
    }
  };
  await pipeline(createReadStream(tar), compressor, hashed, createWriteStream(path));
  const digest: Digest = `sha256:${hash.digest("hex")}`;
  const blob = join(layout, "blobs/sha256", hexOf(digest));
  await rename(path, blob);
  return { path: blob, digest, bytes: (await stat(blob)).size };
}

interface Manifest {
  readonly tag: string;
  readonly digest: Digest;
  readonly size: number;
}

async function writeImage(layout: string, tag: SampleCompression, diffId: Digest, layer: Blob): Promise<Manifest> {
  const put = async (document: object): Promise<{ digest: Digest; size: number }> => {
    const content = JSON.stringify(document);
    const digest = digestOf(content);
    await writeFile(join(layout, "blobs/sha256", hexOf(digest)), content);
    return { digest, size: Buffer.byteLength(content) };
  };
  const rootfs = { type: "layers", diff_ids: [diffId] };
  const config = await put({ architecture: hostArchitecture(), os: "linux", config: {}, rootfs });
  const mediaType = `${MediaType.layer}+${tag}`;
  const manifest = await put({
    schemaVersion: 2,
    mediaType: MediaType.manifest,
    config: { mediaType: MediaType.config, ...config },
    layers: [{ mediaType, digest: layer.digest, size: layer.bytes }],
  });
  return { tag, ...manifest };
}

async function writeIndex(layout: string, manifests: readonly Manifest[]): Promise<void> {
  await writeFile(join(layout, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  const index = {
    schemaVersion: 2,
    manifests: manifests.map(({ tag, digest, size }) => ({
      mediaType: MediaType.manifest,
      digest,
      size,
      annotations: { "org.opencontainers.image.ref.name": tag },
    })),
  };
  await writeFile(join(layout, "index.json"), JSON.stringify(index));
}
