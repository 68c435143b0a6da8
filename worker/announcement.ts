/** What a worker tells everyone of its images. */
import type { DescribedImage, ImageDescription } from "../shared/image-catalog.ts";
import type { WorkerInfo } from "../shared/workers.ts";
import { formatPlatform } from "./images/registry/platform.ts";
import type { StoredImage } from "./images/store.ts";

/** An image as heartbeats name it. */
export function summarizeImage({ reference, digest, layers }: StoredImage): WorkerInfo["images"][number] {
  return { reference, digest, layers: layers.length, bytes: layers.reduce((sum, layer) => sum + layer.bytes, 0) };
}

/** An image as the catalog describes it. */
export function describedImage(image: StoredImage): DescribedImage {
  return { digest: image.digest, describe: () => describe(image) };
}

function describe({ config, manifest, layers }: StoredImage): ImageDescription {
  return {
    created: config.created ?? null,
    platform: formatPlatform(config),
    config: config.config,
    layers: layers.flatMap(({ digest, bytes }, index) => {
      const blob = manifest.layers[index];
      return blob === undefined
        ? []
        : [{ diffId: digest, bytes, blob: { mediaType: blob.mediaType, digest: blob.digest, size: blob.size } }];
    }),
  };
}
