import type { Digest } from "./digest.ts";
import type { StoredImage } from "./store.ts";

/** What the layers of an image take, unpacked, in bytes. */
export interface ImageUsage {
  readonly bytes: number;
  /** Of those that another image has, too. */
  readonly sharedBytes: number;
  /** Of those that nobody else has: what removing the image would free. */
  readonly ownBytes: number;
}

/** What images take together: what they share counts once. */
export interface TotalUsage {
  readonly layers: number;
  /** Of the layers, unpacked. */
  readonly bytes: number;
  /** Of what was pulled, as it came; it is kept beside the unpacked layers. */
  readonly blobBytes: number;
}

type Images = readonly Pick<StoredImage, "digest" | "layers" | "manifest">[];

/** Usage by the digest of each image; its names are one image. */
export function usageOf(images: Images): ReadonlyMap<Digest, ImageUsage> {
  const distinct = new Map(images.map((image) => [image.digest, distinctLayers([image])]));
  const users = new Map<Digest, number>();
  for (const layers of distinct.values())
    for (const digest of layers.keys()) users.set(digest, (users.get(digest) ?? 0) + 1);
  return new Map(
    [...distinct].map(([image, layers]) => {
      const shared = [...layers].filter(([digest]) => (users.get(digest) ?? 0) > 1);
      const [bytes, sharedBytes] = [sum(layers.values()), sum(shared.map(([, size]) => size))];
      return [image, { bytes, sharedBytes, ownBytes: bytes - sharedBytes }];
    }),
  );
}

export function totalUsage(images: Images): TotalUsage {
  const layers = distinctLayers(images);
  const blobs = new Map<Digest, number>();
  for (const image of images) {
    for (const [index, { blob }] of image.layers.entries()) {
      const described = image.manifest.layers[index] ?? blob;
      if (blob !== undefined && described !== undefined) blobs.set(described.digest, described.size);
    }
  }
  return { layers: layers.size, bytes: sum(layers.values()), blobBytes: sum(blobs.values()) };
}

function distinctLayers(images: readonly Pick<StoredImage, "layers">[]): Map<Digest, number> {
  return new Map(images.flatMap(({ layers }) => layers.map(({ digest, bytes }) => [digest, bytes] as const)));
}

function sum(sizes: Iterable<number>): number {
  return [...sizes].reduce((total, size) => total + size, 0);
}
