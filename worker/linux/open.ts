import { AT, O, RESOLVE } from "./constants.ts";
import type { FileName } from "./files.ts";
import { cString, systemCall } from "./libc.ts";

const OPEN_HOW_BYTES = 24;

/** How far a path may lead. */
export type Walk =
  /** Symlinks are followed as if the directory were the root: none leads out of it. */
  | "in root"
  /** As above, and the path may not contain a symlink at all. */
  | "no symlinks";

/**
 * Opens `path` below a directory with openat2(2): neither `..` nor a symlink leads out of it.
 * @param path as text, or as the kernel takes it
 * @returns a close-on-exec descriptor, or a negated errno: ELOOP where a symlink is in the way
 */
export function openBelow(directory: number, path: string | FileName, openFlags: number, walk: Walk): number {
  const resolve = RESOLVE.RESOLVE_IN_ROOT | RESOLVE.RESOLVE_NO_MAGICLINKS;
  const name = typeof path === "string" ? cString(path === "" ? "." : path) : path;
  return open(directory, name, openFlags, walk === "in root" ? resolve : resolve | RESOLVE.RESOLVE_NO_SYMLINKS);
}

/**
 * Opens a path of the host that has to be free of symlinks.
 * @returns a close-on-exec descriptor, or a negated errno: ELOOP where a symlink is in the way
 */
export function openWithoutSymlinks(path: string, openFlags: number): number {
  return open(AT.AT_FDCWD, cString(path), openFlags, RESOLVE.RESOLVE_NO_SYMLINKS);
}

function open(directory: number, name: FileName, openFlags: number, resolve: number): number {
  const how = Buffer.alloc(OPEN_HOW_BYTES);
  how.writeBigUInt64LE(BigInt(openFlags | O.O_CLOEXEC), 0);
  how.writeBigUInt64LE(BigInt(resolve), 16);
  return untilResolved(() => systemCall("openat2", directory, name, how, OPEN_HOW_BYTES));
}

/**
 * Walks that are tried before one is given up: far more than renames can spoil by chance, and soon over where the kernel
 * goes on refusing. In a fresh overlay it sometimes does, to a symlink of several `..` (a million walks in a row, on
 * Linux 6.18; the cause is not known): such a container is refused. The launcher has the same number.
 */
const WALKS_MAX = 1000;
const EAGAIN = 11;

/**
 * Repeats an openat2(2) that the kernel gives up with EAGAIN: it does so when something was renamed or mounted, anywhere
 * on the machine, while a path with `..` was walked that must not lead out, and leaves it to the caller to try again.
 */
export function untilResolved(walk: () => number): number {
  for (let walks = 1; ; walks++) {
    const result = walk();
    if (result !== -EAGAIN || walks === WALKS_MAX) return result;
  }
}
