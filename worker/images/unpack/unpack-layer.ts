/**
 * Unpacks one layer, in a thread of its own:
 *
 *   libuv's threads                    this thread
 *   read ──▶ inflate ── 256 KiB ──▶ sha256 ──▶ tar reader ──▶ system calls
 *
 * The files are made by synchronous calls, of which each takes microseconds, while the next piece is inflated: that
 * keeps two CPUs busy, and takes as much memory for a layer of a gigabyte as for one of a megabyte.
 *
 * Of the 1.9 s that 500 MB of zstd take on two CPUs, 0.9 s are the kernel's for the files, 0.3 s the digest's. Tried, and
 * left: inflating and digesting in a thread of its own, with shared memory between (1.7 s at best, as slow as this where
 * other work has the CPUs, and another isolate's memory); pieces of 1 MiB (no faster: they do not fit the CPU's cache).
 */
import { createHash } from "node:crypto";
import { openSync } from "node:fs";
import { SystemCallError } from "../../linux/errno.ts";
import { syncFileSystem } from "../../linux/files.ts";
import type { Digest } from "../digest.ts";
import type { Compression } from "../oci.ts";
import { type Spending, spend } from "./allowance.ts";
import { decompress, isDecompressionError } from "./decompress.ts";
import { LayerTree } from "./layer-tree.ts";
import type { LayerLimits } from "./limits.ts";
import { readPieces, releasePiece } from "./pieces.ts";
import { type LayerLimit, LayerRefusal, showPath } from "./refusal.ts";
import { directoriesOf, relocate, type Relocation } from "./relocation.ts";
import { type TarEntry, TarReader, type TarVisitor } from "./tar-reader.ts";

/** What is to be unpacked, and where. */
export interface UnpackTask {
  /** Path of the blob, whose own digest has been verified. */
  readonly blob: string;
  readonly compression: Compression;
  /** sha256 that the uncompressed tar has to have; undefined where the blob's own digest is all that is known. */
  readonly diffId: Digest | undefined;
  /** An empty directory. */
  readonly directory: string;
  readonly limits: LayerLimits;
  /** What it may take besides, together with others. */
  readonly spending?: Spending;
  /** Where in the layer everything goes, and to whom; as the archive says where it is left out. */
  readonly relocation?: Relocation;
}

export type UnpackResult =
  /** Everything is on disk. `bytes` counts the uncompressed tar, `impliedDirectories` those without an entry in it. */
  | {
      readonly kind: "unpacked";
      readonly bytes: number;
      readonly entries: number;
      readonly impliedDirectories: number;
    }
  /** The layer is at fault; or it is too large, by which limit. */
  | { readonly kind: "refused"; readonly reason: string; readonly limit?: LayerLimit }
  /** The host is. */
  | { readonly kind: "failed"; readonly reason: string };

/** Unpacks a layer. The thread's umask has to be 0. Never throws for what a layer holds. */
export async function unpackLayer(task: UnpackTask): Promise<UnpackResult> {
  try {
    return await unpack(task);
  } catch (error) {
    if (error instanceof LayerRefusal) {
      const { message: reason, limit } = error;
      return { kind: "refused", reason, ...(limit && { limit }) };
    }
    if (isDecompressionError(error)) {
      return { kind: "refused", reason: `its ${task.compression} stream is damaged: ${error.message}` };
    }
    if (error instanceof Error) return { kind: "failed", reason: error.message };
    throw error;
  }
}

async function unpack(task: UnpackTask): Promise<UnpackResult> {
  const { blob, compression, diffId, directory, limits, spending, relocation } = task;
  const root = openSync(directory, "r");
  using tree = new LayerTree(root, relocation?.owner);
  for (const parent of relocation === undefined ? [] : directoriesOf(relocation)) tree.begin(parent);
  const visitor = new EntryVisitor(tree, limits.entriesMax, relocation);
  const reader = new TarReader(visitor);
  const hash = createHash("sha256");
  let bytes = 0;
  await decompress(readPieces(blob), compression, async (pieces: AsyncIterable<Buffer>) => {
    for await (const piece of pieces) {
      bytes += piece.length;
      if (bytes > limits.bytesMax)
        throw new LayerRefusal(`it is larger than ${limits.bytesMax} bytes unpacked`, { limit: "bytes" });
      const short = spending && spend(spending, piece.length);
      if (short !== undefined)
        throw new LayerRefusal(`it is larger than what is left for its ${short}`, { limit: short });
      hash.update(piece);
      reader.write(piece);
      if (compression !== "none") releasePiece(piece);
    }
  });
  reader.end();
  tree.finish();
  const digest: Digest = `sha256:${hash.digest("hex")}`;
  if (diffId !== undefined && digest !== diffId)
    throw new LayerRefusal(`its tar has the digest ${digest}, its image says ${diffId}`);
  syncFileSystem(root);
  return { kind: "unpacked", bytes, entries: visitor.entries, impliedDirectories: tree.implied };
}

/** Counts entries, and says of what is wrong at which entry it is. */
class EntryVisitor implements TarVisitor {
  readonly #tree: LayerTree;
  readonly #entriesMax: number;
  readonly #relocation: Relocation | undefined;
  #name = "";
  entries = 0;

  constructor(tree: LayerTree, entriesMax: number, relocation: Relocation | undefined) {
    this.#tree = tree;
    this.#entriesMax = entriesMax;
    this.#relocation = relocation;
  }

  beginEntry(entry: TarEntry): void {
    // Directories without an entry are inodes, too, and one path may imply many.
    if (++this.entries + this.#tree.madeUnasked > this.#entriesMax)
      throw new LayerRefusal(`it has more than ${this.#entriesMax} entries`, { limit: "entries" });
    this.#name = entry.name;
    const relocation = this.#relocation;
    this.#attempt(() => this.#tree.begin(relocation === undefined ? entry : relocate(entry, relocation)));
  }

  data(chunk: Buffer): void {
    this.#attempt(() => this.#tree.write(chunk));
  }

  endEntry(): void {
    this.#attempt(() => this.#tree.end());
  }

  #attempt(work: () => void): void {
    try {
      work();
    } catch (error) {
      const at = `entry ${showPath(this.#name)}`;
      if (error instanceof LayerRefusal) throw new LayerRefusal(`${at}: ${error.message}`, { cause: error });
      if (error instanceof SystemCallError) throw new Error(`${at}: ${error.message}`, { cause: error });
      throw error;
    }
  }
}
