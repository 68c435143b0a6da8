/** How much one layer may hold. What is beyond is refused, and nothing of it stays. */
export interface LayerLimits {
  /** Of the uncompressed tar: the answer to compression bombs. */
  readonly bytesMax: number;
  /** Files, directories, links and whiteouts. */
  readonly entriesMax: number;
}

/**
 * Far above what images hold (the largest public ones have layers of about 15 GB and 400,000 files), far below what
 * fills a disk or its inodes.
 */
export const LAYER_LIMITS: LayerLimits = { bytesMax: 32 * 1024 ** 3, entriesMax: 1_000_000 };

/**
 * Bytes of extended headers that one entry may have: long names and extended attributes. The kernel takes 4 KiB of
 * name and 64 KiB of attributes in most file systems; tar-stream and Go's archive/tar stop at 4 and 1 MiB.
 */
export const EXTENDED_HEADER_BYTES_MAX = 1024 * 1024;

/** Directories within directories; each level that is being written to holds a descriptor. */
export const DEPTH_MAX = 256;

/** Longest path in bytes (PATH_MAX of linux/limits.h, less its NUL). */
export const PATH_BYTES_MAX = 4095;

/** Longest name in bytes (NAME_MAX of linux/limits.h). */
export const NAME_BYTES_MAX = 255;

/** The ids that a container has (services of user namespaces map 65,536 of them). */
export const ID_MAX = 65_535;

/** Layers of one image: Docker's limit. Overlayfs itself takes 500. */
export const LAYERS_MAX = 127;
