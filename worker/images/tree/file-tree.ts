import type { Stats } from "node:fs";

/** A file of a tree. */
export interface TreeEntry {
  /** Below the tree's root, without a leading slash and without a symbolic link before the last component. */
  readonly path: string;
  readonly status: Stats;
  /** Of a symbolic link. */
  readonly target?: string;
}

/** A tree of files in which paths mean what they mean to a process whose root it is. */
export interface FileTree {
  /** @param directory path of a directory, as {@link TreeEntry.path}; empty for the root */
  lookUp(directory: string, name: string): TreeEntry | undefined;
  /** Names in a directory, sorted. */
  list(directory: string): string[];
  /** Opens a file for reading; the caller closes the descriptor. */
  open(path: string): number;
}

/** Where a path leads. */
export interface Resolution {
  /** The path without symbolic links, as far as the tree has it, and the rest as it was asked for. */
  readonly path: string;
  /** Undefined when there is no such file. The root has no entry of its own, and is a directory. */
  readonly entry: TreeEntry | "root" | undefined;
}

/** A tree does not have what it is asked for; the message says what is in the way. */
export class TreeError extends Error {
  override readonly name = "TreeError";
}

/** As many as the kernel follows (MAXSYMLINKS). */
const LINKS_MAX = 40;

/**
 * Components that are looked at on the way, those of links included. No path that the kernel takes comes near it; a
 * stranger's links to long paths through many layers would have us look for seconds.
 */
const COMPONENTS_MAX = 1024;

/**
 * Follows a path in a tree, `..` and symbolic links included: none leads out of it.
 * @param last whether a symbolic link at the very end is followed, too
 * @throws {TreeError} when links lead in circles, or a file stands where a directory has to be
 */
export function resolveIn(tree: FileTree, path: string, last: "followed" | "kept" = "followed"): Resolution {
  const pending = componentsOf(path);
  const reached: TreeEntry[] = [];
  let links = 0;
  let components = 0;
  for (let name = pending.shift(); name !== undefined; name = pending.shift()) {
    if (++components > COMPONENTS_MAX) throw new TreeError(`the way to /${path} is too long`);
    if (name === "..") {
      reached.pop();
      continue;
    }
    const directory = reached.at(-1)?.path ?? "";
    const entry = tree.lookUp(directory, name);
    if (entry === undefined) {
      // What does not exist has no links: the rest is a matter of names.
      return { path: normalize([...componentsOf(directory), name, ...pending]), entry: undefined };
    }
    if (entry.target !== undefined && (pending.length > 0 || last === "followed")) {
      if (++links > LINKS_MAX) throw new TreeError(`too many symbolic links in /${path}`);
      if (entry.target.startsWith("/")) reached.length = 0;
      pending.unshift(...componentsOf(entry.target));
      continue;
    }
    if (pending.length > 0 && !entry.status.isDirectory()) throw new TreeError(`/${entry.path} is not a directory`);
    reached.push(entry);
  }
  const entry = reached.at(-1);
  return { path: entry?.path ?? "", entry: entry ?? "root" };
}

/** Whether a resolution ends at a directory. */
export function isDirectory({ entry }: Resolution): boolean {
  return entry === "root" || entry?.status.isDirectory() === true;
}

function componentsOf(path: string): string[] {
  return path.split("/").filter((name) => name !== "" && name !== ".");
}

function normalize(components: readonly string[]): string {
  const kept: string[] = [];
  for (const name of components) {
    if (name === "..") kept.pop();
    else kept.push(name);
  }
  return kept.join("/");
}

/** The directory that a path is in; empty for the root. */
export function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}

/** The last component of a path. */
export function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
