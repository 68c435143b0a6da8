import { AT, OPEN_TREE } from "./constants.ts";
import { cString, mustCall } from "./libc.ts";

/** Clones the mount of a directory, attached nowhere (open_tree(2)); it lasts as long as the descriptor, and files below it. */
export function openDetachedTree(directory: string): number {
  const flags = OPEN_TREE.OPEN_TREE_CLONE | OPEN_TREE.OPEN_TREE_CLOEXEC;
  return mustCall("open_tree", AT.AT_FDCWD, cString(directory), flags);
}
