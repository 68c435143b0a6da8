/** OCI image layouts: `oci-layout`, `index.json`, and `blobs/sha256/<hex>` (image specification, "Image Layout"). */
import * as z from "zod";
import type { ImageAddition } from "../addition.ts";
import { type Digest, digestOf, hexOf } from "../digest.ts";
import { descriptor, imageConfig, type ImageConfig, imageManifest, MediaType, parseDocument } from "../oci.ts";
import { choosePlatform, describePlatformFault, formatPlatform, type Platform } from "../registry/platform.ts";
import type { StoredImage } from "../store.ts";
import { type ArchiveFiles, readArchived } from "./archive-files.ts";

/** Names of an image within a layout: the specification's, and the whole name that containerd and Docker write. */
export const RefName = { oci: "org.opencontainers.image.ref.name", containerd: "io.containerd.image.name" } as const;

/** Of the layout, not of the specification: no other one has been written down since (v1.0 to v1.1). */
export const LAYOUT_VERSION = "1.0.0";

const layout = z.looseObject({ imageLayoutVersion: z.string() });
const platform = z.object({ os: z.string(), architecture: z.string(), variant: z.string().optional() });
const entry = descriptor.extend({
  platform: platform.optional(),
  annotations: z.record(z.string(), z.string()).optional(),
});
const index = z.object({ schemaVersion: z.literal(2), manifests: z.array(entry) });
type Entry = z.output<typeof entry>;

/** An index may name an index, as `docker save` writes it for images of several platforms. */
const DEPTH_MAX = 3;

/** An image in an archive. */
export interface ArchivedImage {
  /** What the archive calls it; undefined when it does not. */
  readonly name: string | undefined;
  /** Adds its layers and documents to a store, under a name. */
  add(addition: ImageAddition, name: string, signal?: AbortSignal): Promise<StoredImage>;
}

/** Whether an archive is a layout. */
export async function isLayout(files: ArchiveFiles): Promise<boolean> {
  return (await files.sizeOf("oci-layout")) !== undefined && (await files.sizeOf("index.json")) !== undefined;
}

/**
 * The images of a layout for a platform.
 * @throws when it is malformed, or has none
 */
export async function imagesOfLayout(files: ArchiveFiles, wanted: Platform): Promise<ArchivedImage[]> {
  const { imageLayoutVersion: version } = parseDocument(layout, await readArchived(files, "oci-layout"));
  if (version !== LAYOUT_VERSION)
    throw new Error(`the archive is a layout of version ${JSON.stringify(version)}: only ${LAYOUT_VERSION} is known`);
  const { manifests } = parseDocument(index, await readArchived(files, "index.json"));
  const images: ArchivedImage[] = [];
  const offered: Platform[] = [];
  for (const top of manifests) {
    const digest = await chooseManifest(files, top, wanted, offered, 0);
    if (digest === undefined) continue;
    const name = top.annotations?.[RefName.containerd] ?? top.annotations?.[RefName.oci];
    images.push({ name, add: (addition, as, signal) => addImage(files, { digest, wanted }, addition, as, signal) });
  }
  if (images.length === 0) {
    const others = offered.length === 0 ? "" : `, only for ${offered.map(formatPlatform).join(", ")}`;
    throw new Error(`the archive has no image for ${formatPlatform(wanted)}${others}`);
  }
  return images;
}

async function chooseManifest(
  files: ArchiveFiles,
  top: Entry,
  wanted: Platform,
  offered: Platform[],
  depth: number,
): Promise<Digest | undefined> {
  switch (top.mediaType) {
    case MediaType.manifest:
    case MediaType.dockerManifest:
      if (top.platform === undefined || choosePlatform([top], wanted) !== undefined) return top.digest;
      offered.push(top.platform);
      return undefined;
    case MediaType.index:
    case MediaType.dockerManifestList: {
      if (depth >= DEPTH_MAX) throw new Error(`the archive's indexes are nested more than ${DEPTH_MAX} deep`);
      const { manifests } = parseDocument(index, await readBlob(files, top.digest));
      const chosen = choosePlatform(manifests, wanted) ?? (manifests.length === 1 ? manifests[0] : undefined);
      if (chosen !== undefined) return chooseManifest(files, chosen, wanted, offered, depth + 1);
      offered.push(...manifests.flatMap((each) => each.platform ?? []));
      return undefined;
    }
    default:
      throw new Error(`the archive has something of the unknown media type ${JSON.stringify(top.mediaType)}`);
  }
}

async function addImage(
  files: ArchiveFiles,
  { digest, wanted }: { readonly digest: Digest; readonly wanted: Platform },
  addition: ImageAddition,
  name: string,
  signal: AbortSignal | undefined,
): Promise<StoredImage> {
  const manifestBytes = await readBlob(files, digest);
  const manifest = parseDocument(imageManifest, manifestBytes);
  const configBytes = await readBlob(files, manifest.config.digest);
  const config = parseDocument(imageConfig, configBytes);
  insistOnPlatform(config, wanted);
  const diffIds = config.rootfs.diff_ids;
  const layers = manifest.layers.map((layer, position) => {
    const diffId = diffIds[position];
    if (diffId === undefined) throw new Error(`layer ${layer.digest} is not in the configuration of its image`);
    return { descriptor: layer, diffId, open: () => files.open(pathOf(layer.digest)) };
  });
  // Settled, and not only begun: the archive may be closed when this has ended.
  const results = await Promise.allSettled(
    layers.map((layer) => addition.addLayer(layer, { ...(signal && { signal }) })),
  );
  for (const result of results) if (result.status === "rejected") throw result.reason;
  return addition.addImage(name, manifestBytes, configBytes);
}

/** An index need not say what its images are for, or may be wrong. @throws when an image is for other machines */
export function insistOnPlatform(config: ImageConfig, wanted: Platform): void {
  const fault = describePlatformFault(config, wanted);
  if (fault !== undefined) throw new Error(`the image ${fault}`);
}

async function readBlob(files: ArchiveFiles, digest: Digest): Promise<Buffer> {
  const content = await readArchived(files, pathOf(digest));
  if (digestOf(content) !== digest)
    throw new Error(`${pathOf(digest)} is damaged: it has another digest than its name`);
  return content;
}

/** Where a layout has its blobs. */
export const BLOBS = "blobs/sha256";

/** Where a layout has a blob. */
export function pathOf(digest: Digest): string {
  return `${BLOBS}/${hexOf(digest)}`;
}
