/** Layers and images made in memory, to be added to a store. */
import { Readable } from "node:stream";
import { gzipSync, zstdCompressSync } from "node:zlib";
import type { ImageAddition, LayerSource } from "../../worker/images/addition.ts";
import { digestOf } from "../../worker/images/digest.ts";
import { type Compression, type Descriptor, MediaType } from "../../worker/images/oci.ts";
import type { ImageOrigin } from "../../worker/images/references.ts";
import type { StoredImage } from "../../worker/images/store.ts";

/** A layer source that counts how often its bytes were asked for. */
export interface CountedSource extends LayerSource {
  readonly opened: () => number;
}

const COMPRESS: Readonly<Record<Compression, (tar: Buffer) => Buffer>> = {
  none: (tar) => tar,
  gzip: (tar) => gzipSync(tar, { level: 1 }),
  zstd: (tar) => zstdCompressSync(tar),
};

/** A layer of a tar. `lie` replaces what is said of it. */
export function layerOf(
  tar: Buffer,
  compression: Compression = "gzip",
  lie: Partial<Descriptor> & Partial<Pick<LayerSource, "diffId">> = {},
): CountedSource {
  return layerOfBlob(COMPRESS[compression](tar), tar, compression, lie);
}

/** A layer of a blob that need not be the tar's. */
export function layerOfBlob(
  blob: Buffer,
  tar: Buffer,
  compression: Compression,
  { diffId, ...lie }: Partial<Descriptor> & Partial<Pick<LayerSource, "diffId">> = {},
): CountedSource {
  let opened = 0;
  const suffix = compression === "none" ? "" : `+${compression}`;
  return {
    descriptor: { mediaType: MediaType.layer + suffix, digest: digestOf(blob), size: blob.length, ...lie },
    diffId: diffId ?? digestOf(tar),
    open() {
      opened++;
      return Readable.from(blob.length === 0 ? [] : [blob]);
    },
    opened: () => opened,
  };
}

/** Adds all layers and names the image. */
export async function addImageOf(
  addition: ImageAddition,
  reference: string,
  sources: readonly LayerSource[],
  origin?: ImageOrigin,
): Promise<StoredImage> {
  await Promise.all(sources.map((source) => addition.addLayer(source)));
  const { manifest, config } = documentsOf(sources);
  return addition.addImage(reference, manifest, config, origin);
}

const DESCRIPTION = { architecture: "amd64", os: "linux", config: { Env: ["PATH=/usr/bin"], Cmd: ["sh"] } };

/** Manifest and configuration of an image of these layers; `description` is what the configuration says besides. */
export function documentsOf(
  sources: readonly Pick<LayerSource, "descriptor" | "diffId">[],
  description: object = DESCRIPTION,
): { manifest: Buffer; config: Buffer } {
  const rootfs = { type: "layers", diff_ids: sources.map(({ diffId }) => diffId) };
  const config = Buffer.from(JSON.stringify({ ...description, rootfs }));
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MediaType.manifest,
      config: { mediaType: MediaType.config, digest: digestOf(config), size: config.length },
      layers: sources.map(({ descriptor }) => descriptor),
    }),
  );
  return { manifest, config };
}
