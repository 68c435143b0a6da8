/** Which files a COPY or an ADD takes, and a digest of them. */
import { closeSync, readSync } from "node:fs";
import { createHash, type Hash } from "node:crypto";
import { type Digest } from "../digest.ts";
import type { BuildContext } from "./context.ts";
import { type FileTree, isDirectory, nameOf, resolveIn, type TreeEntry } from "../tree/file-tree.ts";
import { xattrsOf } from "./layer-draft.ts";
import { componentExpression, isPattern } from "./glob.ts";

/** A source as it was found. */
export interface Source {
  /** The name that it has at a destination which is a directory. */
  readonly name: string;
  /** Links at the very end are followed, so it is none. */
  readonly entry: TreeEntry | "root";
}

/**
 * Finds the sources that a COPY names in a tree; `..` leads no higher than its root.
 * @param context for a better message, where the tree is the context
 * @throws when one names nothing
 */
export function findSources(tree: FileTree, patterns: readonly string[], context?: BuildContext): Source[] {
  return patterns.flatMap((pattern) => {
    const found = isPattern(pattern) ? matches(tree, pattern) : [pattern];
    const sources = found.flatMap((path): Source[] => {
      const { path: resolved, entry } = resolveIn(tree, path);
      return entry === undefined ? [] : [{ name: nameOf(trimSlashes(path)) || nameOf(resolved), entry }];
    });
    if (sources.length > 0) return sources;
    const place = context === undefined ? "where it is copied from" : "in the context";
    const reason = context?.leavesOut(pattern) === true ? ": .dockerignore leaves it out" : "";
    throw new Error(`there is no ${pattern} ${place}${reason}`);
  });
}

function trimSlashes(path: string): string {
  return path.replace(/\/+$/, "");
}

/** Paths that match, component by component; sorted. */
function matches(tree: FileTree, pattern: string): string[] {
  let paths = [""];
  for (const component of pattern.split("/").filter((name) => name !== "" && name !== ".")) {
    paths = paths.flatMap((path) => {
      if (!isPattern(component)) return resolves(tree, `${path}/${component}`) ? [`${path}/${component}`] : [];
      const directory = resolveIn(tree, path);
      if (!isDirectory(directory)) return [];
      const expression = componentExpression(component);
      return tree
        .list(directory.path)
        .filter((name) => expression.test(name))
        .map((name) => `${path}/${name}`);
    });
  }
  return paths;
}

function resolves(tree: FileTree, path: string): boolean {
  return resolveIn(tree, path).entry !== undefined;
}

/** Digest of everything about sources that a copy of them keeps, but their times. */
export function digestSources(tree: FileTree, sources: readonly Source[]): Digest {
  const hash = createHash("sha256");
  for (const { name, entry } of sources) {
    if (entry === "root") for (const child of tree.list("")) addEntry(hash, tree, child, tree.lookUp("", child));
    else addEntry(hash, tree, name, entry);
  }
  return `sha256:${hash.digest("hex")}`;
}

function addEntry(hash: Hash, tree: FileTree, name: string, entry: TreeEntry | undefined): void {
  if (entry === undefined) return;
  const { mode, rdev, size } = entry.status;
  const isFile = entry.status.isFile();
  const xattrs = [...xattrsOf(tree, entry)]
    .map(([key, value]) => `${key}=${Buffer.from(value).toString("hex")}`)
    .sort();
  hash.update(JSON.stringify([name, mode, rdev, isFile ? size : 0, entry.target ?? null, xattrs]));
  if (isFile) for (const chunk of readContent(tree, entry.path)) hash.update(chunk);
  if (!entry.status.isDirectory()) return;
  for (const child of tree.list(entry.path)) addEntry(hash, tree, `${name}/${child}`, tree.lookUp(entry.path, child));
}

const READ_BYTES = 256 * 1024;

/** The content of a regular file in pieces, each of which is good until the next is asked for. */
export function* readContent(tree: FileTree, path: string): Generator<Uint8Array> {
  const descriptor = tree.open(path);
  try {
    const buffer = new Uint8Array(READ_BYTES);
    for (let length = readSync(descriptor, buffer); length > 0; length = readSync(descriptor, buffer)) {
      yield buffer.subarray(0, length);
    }
  } finally {
    closeSync(descriptor);
  }
}
