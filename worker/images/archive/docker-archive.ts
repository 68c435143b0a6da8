/**
 * Archives of `docker save` and `podman save`, before they became OCI layouts: `manifest.json`, configurations, and
 * layers as tars. They have no manifests, so the digest of an image that comes from one is new.
 */
import * as z from "zod";
import type { ImageAddition, LayerSource } from "../addition.ts";
import { type Digest, digestOf } from "../digest.ts";
import { type Descriptor, imageConfig, type ImageManifest, MediaType, parseDocument } from "../oci.ts";
import type { StoredImage } from "../store.ts";
import { formatReference, parseReference } from "../../../shared/image-reference.ts";
import { type ArchiveFiles, readArchived } from "./archive-files.ts";
import type { Platform } from "../registry/platform.ts";
import { type ArchivedImage, insistOnPlatform } from "./oci-layout.ts";

const manifests = z.array(
  z.object({ Config: z.string(), RepoTags: z.array(z.string()).nullish(), Layers: z.array(z.string()) }),
);
type DockerManifest = z.output<typeof manifests>[number];

/** Whether an archive is one of Docker's. */
export async function isDockerArchive(files: ArchiveFiles): Promise<boolean> {
  return (await files.sizeOf("manifest.json")) !== undefined;
}

/** The images of an archive, once for each name. @throws when it is malformed; adding one, when it is for other machines */
export async function imagesOfDockerArchive(files: ArchiveFiles, wanted: Platform): Promise<ArchivedImage[]> {
  const described = parseDocument(manifests, await readArchived(files, "manifest.json"));
  return described.flatMap((manifest) => {
    const names = manifest.RepoTags?.length ? manifest.RepoTags.map(canonicalName) : [undefined];
    return names.map((name): ArchivedImage => ({
      name,
      add: (addition, as, signal) => addImage(files, { manifest, wanted }, addition, as, signal),
    }));
  });
}

/** Docker means its own registry by a short name. */
function canonicalName(tag: string): string {
  return formatReference(parseReference(tag));
}

async function addImage(
  files: ArchiveFiles,
  { manifest: { Config, Layers }, wanted }: { readonly manifest: DockerManifest; readonly wanted: Platform },
  addition: ImageAddition,
  name: string,
  signal: AbortSignal | undefined,
): Promise<StoredImage> {
  const configBytes = await readArchived(files, Config);
  const config = parseDocument(imageConfig, configBytes);
  insistOnPlatform(config, wanted);
  const diffIds = config.rootfs.diff_ids;
  if (Layers.length !== diffIds.length)
    throw new Error(`the archive has ${Layers.length} layers of an image, its configuration ${diffIds.length}`);
  const layers: Descriptor[] = [];
  for (const [position, path] of Layers.entries()) {
    const diffId = diffIds[position];
    if (diffId === undefined) continue;
    const source = await layerSource(files, path, diffId);
    await addition.addLayer(source, { ...(signal && { signal }) });
    layers.push(source.descriptor);
  }
  const manifest: ImageManifest = {
    schemaVersion: 2,
    mediaType: MediaType.manifest,
    config: { mediaType: MediaType.config, digest: digestOf(configBytes), size: configBytes.length },
    layers,
  };
  return addition.addImage(name, Buffer.from(JSON.stringify(manifest)), configBytes);
}

/** Layers are not compressed there, so a layer's digest is its diff id. */
async function layerSource(files: ArchiveFiles, path: string, diffId: Digest): Promise<LayerSource> {
  const size = await files.sizeOf(path);
  if (size === undefined) throw new Error(`the archive has no ${path}: it is not complete`);
  return { descriptor: { mediaType: MediaType.layer, digest: diffId, size }, diffId, open: () => files.open(path) };
}
