import { createHash } from "node:crypto";
import { closeSync, fstatSync, openSync, readdirSync, readSync, type Stats } from "node:fs";
import { posix } from "node:path";
import { O } from "../../linux/constants.ts";
import { errnoName } from "../../linux/errno.ts";
import { openBelow } from "../../linux/open.ts";
import type { OutputFile } from "../spec.ts";

/** At most this many files, and bytes of them together, are returned of one container. */
export const OUTPUT_FILES_MAX = 256;
export const OUTPUT_FILES_BYTES_MAX = 16 * 1024 * 1024;
/** A pattern looks at no more directory entries than this: a program can make millions. */
const ENTRIES_MAX = 100_000;

/** A directory of a container whose processes are dead, so that nothing changes while it is read. */
export interface OutputTree {
  /** Descriptor of the container's root, or of the file system the working directory is on. */
  readonly base: number;
  /** The working directory below `base`. */
  readonly path: string;
}

/**
 * Returns the regular files that `patterns` name below the working directory. The tree is a stranger's: no symlink is
 * followed in it, and only what turns out to be a regular file is opened for reading. Whatever else a pattern meets,
 * and a path without a wildcard that does not exist, is an error in the list.
 */
export function collectOutputs(tree: OutputTree, patterns: readonly string[]): OutputFile[] {
  if (patterns.length === 0) return [];
  using descriptors = new DisposableStack();
  const directory = openBelow(tree.base, tree.path, O.O_PATH | O.O_DIRECTORY, "in root");
  if (directory < 0) return patterns.map((path) => ({ path, error: "the working directory is gone" }));
  descriptors.adopt(directory, closeSync);

  const outputs: OutputFile[] = [];
  let bytesLeft = OUTPUT_FILES_BYTES_MAX;
  for (const path of matchingPaths(directory, patterns)) {
    if (outputs.length === OUTPUT_FILES_MAX) {
      outputs.push({ path, error: `more than ${OUTPUT_FILES_MAX} files: the rest is left out` });
      break;
    }
    const output = collectFile(directory, path, bytesLeft);
    if ("content" in output) bytesLeft -= output.content.byteLength;
    outputs.push(output);
  }
  return outputs;
}

function collectFile(directory: number, path: string, bytesLeft: number): OutputFile {
  // O_PATH opens anything without effect: no FIFO waits for a writer, no device is touched.
  const descriptor = openBelow(directory, path, O.O_PATH | O.O_NOFOLLOW, "no symlinks");
  if (descriptor < 0) return { path, error: openError(-descriptor) };
  using descriptors = new DisposableStack();
  descriptors.adopt(descriptor, closeSync);
  const status = fstatSync(descriptor);
  if (!status.isFile()) return { path, error: `${describe(status)} is not a regular file` };
  if (status.size > bytesLeft) {
    return { path, error: `${status.size} bytes are more than the ${bytesLeft} that are left for output files` };
  }
  const content = readWhole(descriptors.adopt(openSync(`/proc/self/fd/${descriptor}`, "r"), closeSync), status.size);
  return { path, content, sha256: createHash("sha256").update(content).digest("hex") };
}

function readWhole(descriptor: number, size: number): Uint8Array {
  const content = new Uint8Array(size);
  let length = 0;
  while (length < size) {
    const read = readSync(descriptor, content, length, size - length, length);
    if (read === 0) break;
    length += read;
  }
  return content.subarray(0, length);
}

/** The paths that are asked for: as named, or as found in the tree, sorted. */
function matchingPaths(directory: number, patterns: readonly string[]): Set<string> {
  const globs = patterns.filter(isGlob);
  const found =
    globs.length === 0
      ? []
      : [...walk(directory)].filter((path) => globs.some((glob) => posix.matchesGlob(path, glob)));
  return new Set([...patterns.filter((pattern) => !isGlob(pattern)), ...found.toSorted()]);
}

function isGlob(pattern: string): boolean {
  return /[*?[{]/.test(pattern);
}

/** Every path below a directory that is not a directory itself. */
function* walk(directory: number): Generator<string> {
  const pending = [""];
  let entries = 0;
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    const descriptor = openBelow(directory, path, O.O_RDONLY | O.O_DIRECTORY, "no symlinks");
    if (descriptor < 0) continue;
    using descriptors = new DisposableStack();
    descriptors.adopt(descriptor, closeSync);
    for (const entry of readdirSync(`/proc/self/fd/${descriptor}`, { withFileTypes: true })) {
      if (++entries > ENTRIES_MAX) return;
      const child = path === "" ? entry.name : `${path}/${entry.name}`;
      if (entry.isDirectory()) pending.push(child);
      else yield child;
    }
  }
}

function openError(errno: number): string {
  const name = errnoName(errno);
  switch (name) {
    case "ENOENT":
    case "ENOTDIR":
      return "no such file";
    case "ELOOP":
      return "a symbolic link is not a regular file";
    default:
      return `cannot be opened: ${name}`;
  }
}

function describe(status: Stats): string {
  if (status.isDirectory()) return "a directory";
  if (status.isFIFO()) return "a fifo";
  if (status.isSocket()) return "a socket";
  if (status.isSymbolicLink()) return "a symbolic link";
  return "a device";
}
