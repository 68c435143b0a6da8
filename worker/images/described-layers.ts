import type { StoredLayer } from "./layers.ts";
import { compressionOf, type Descriptor, MediaType } from "./oci.ts";
import type { StoredImage } from "./store.ts";

/** A layer and how a manifest describes it: one that was pulled by its compressed blob. */
export interface DescribedLayer {
  readonly layer: StoredLayer;
  readonly descriptor: Descriptor;
}

/** A layer made here is not compressed: its blob is its tar. */
export function describeOwnLayer(layer: StoredLayer): DescribedLayer {
  return { layer, descriptor: { mediaType: MediaType.layer, digest: layer.digest, size: layer.bytes } };
}

/** The layers of an image as an OCI manifest describes them, lowest first, for an image on top of it. */
export function describeLayersOf({ layers, manifest }: Pick<StoredImage, "layers" | "manifest">): DescribedLayer[] {
  return layers.map((layer, index): DescribedLayer => {
    const descriptor = manifest.layers[index];
    return descriptor === undefined
      ? describeOwnLayer(layer)
      : { layer, descriptor: { ...descriptor, mediaType: ociType(descriptor.mediaType) } };
  });
}

/** Docker's name of a layer's type as OCI's: an OCI manifest has no others. */
function ociType(mediaType: string): string {
  const compression = compressionOf(mediaType);
  return compression === "none" ? MediaType.layer : `${MediaType.layer}+${compression}`;
}
