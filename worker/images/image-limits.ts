import { LAYER_LIMITS } from "./unpack/limits.ts";
import type { LayerLimit } from "./unpack/refusal.ts";

/** How much an image may hold that comes from elsewhere. */
export interface ImageLimits {
  /** All of its layers together, unpacked. */
  readonly bytesMax: number;
  /** One layer, unpacked. */
  readonly layerBytesMax: number;
  /** Files, directories, links and whiteouts of one layer. */
  readonly layerEntriesMax: number;
  /** One layer as it comes, compressed or not. */
  readonly blobBytesMax: number;
  /**
   * Directories that its layers have no entry of, all of them together: each is looked for in all layers. Where archives
   * have no entries of directories at all, there are some ten thousand.
   */
  readonly impliedDirectoriesMax: number;
}

export const IMAGE_LIMITS: ImageLimits = {
  bytesMax: 64 * 1024 ** 3,
  layerBytesMax: LAYER_LIMITS.bytesMax,
  layerEntriesMax: LAYER_LIMITS.entriesMax,
  blobBytesMax: 16 * 1024 ** 3,
  impliedDirectoriesMax: 100_000,
};

/** Where each limit is set. */
export const LIMIT_VARIABLES = {
  blob: "LONGSHORE_IMAGE_BLOB_BYTES",
  bytes: "LONGSHORE_IMAGE_LAYER_BYTES",
  entries: "LONGSHORE_IMAGE_LAYER_ENTRIES",
  image: "LONGSHORE_IMAGE_BYTES",
  store: "LONGSHORE_IMAGE_CACHE_BYTES",
} as const satisfies Record<LayerLimit | "blob", string>;

/** The way out for who wants an image all the same. */
export function wayOut(limit: keyof typeof LIMIT_VARIABLES): string {
  return `raise ${LIMIT_VARIABLES[limit]} if it should be here`;
}
