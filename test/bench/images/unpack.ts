/**
 * One layer, unpacked by Longshore and by others. Each leaves everything on the disk: Longshore syncs the file system by
 * itself, after the others it is done for them (sync -f), within the time that is measured.
 */
import { execFile } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { LAYER_LIMITS } from "../../../worker/images/unpack/limits.ts";
import { unpackInThread } from "../../../worker/images/unpack/pool.ts";
import { syncFileSystem } from "../../../worker/linux/files.ts";
import { findExecutable } from "../executables.ts";
import { compressions, type SampleCompression, type SampleLayer } from "./sample-layer.ts";

const run = promisify(execFile);

/** A way to unpack a layer. */
export interface Unpacker {
  readonly name: string;
  /** What is done besides making the files, for those who compare. */
  readonly note: string;
  /** Unpacks into a directory that does not exist yet. */
  unpack(layer: SampleLayer, directory: string): Promise<void>;
}

export const unpackers: readonly Unpacker[] = compressions.flatMap((compression) => [
  longshore(compression),
  tar(compression),
  umoci(compression),
]);

function longshore(compression: SampleCompression): Unpacker {
  return {
    name: `longshore-${compression}`,
    note: "in a thread made for it; verifies the tar's digest",
    async unpack({ blobs, diffId }, directory) {
      await mkdir(directory, { mode: 0o755 });
      const blob = blobs[compression].path;
      const result = await unpackInThread({ blob, compression, diffId, directory, limits: LAYER_LIMITS });
      if (result.kind !== "unpacked") throw new Error(`the layer was not unpacked: ${result.reason}`);
    },
  };
}

function tar(compression: SampleCompression): Unpacker {
  return {
    name: `tar-${compression}`,
    note: "GNU tar with owners, permissions and xattrs, decompression in a process of its own; verifies nothing",
    async unpack({ blobs }, directory) {
      await mkdir(directory, { mode: 0o755 });
      const attributes = ["--numeric-owner", "--same-owner", "--same-permissions", "--xattrs", "--xattrs-include=*"];
      const words = ["--extract", `--${compression}`, ...attributes, "--directory", directory];
      await run("tar", [...words, "--file", blobs[compression].path]);
      sync(directory);
    },
  };
}

function umoci(compression: SampleCompression): Unpacker {
  return {
    name: `umoci-${compression}`,
    note: "umoci unpack; verifies the blob's and the tar's digest, and writes a manifest of all files (mtree)",
    async unpack({ layout }, directory) {
      await run("umoci", ["unpack", "--image", `${layout}:${compression}`, directory]);
      sync(directory);
    },
  };
}

/** Writes everything of the directory's file system to its disk. */
export function sync(directory: string): void {
  const descriptor = openSync(directory, "r");
  try {
    syncFileSystem(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** Why an unpacker cannot be measured here; undefined when it can. Unpacks once. */
export async function tryUnpacker(
  unpacker: Unpacker,
  layer: SampleLayer,
  directory: string,
): Promise<string | undefined> {
  const program = unpacker.name.split("-")[0] ?? "";
  if (program !== "longshore" && findExecutable(program) === undefined) return `${program} is not installed`;
  try {
    await unpacker.unpack(layer, join(directory, `try-${unpacker.name}`));
    return undefined;
  } catch (error) {
    return error instanceof Error ? (error.message.trim().split("\n").at(-1) ?? "") : String(error);
  }
}
