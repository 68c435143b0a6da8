/** How the directories of `implied-parents.ts` are made. It may be for many, and blocks its thread. */
import { closeSync, constants, fstatSync, mkdirSync, openSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { setDescriptorMode, setDescriptorOwner, setDescriptorTimes } from "../../linux/files.ts";
import { readDescriptorXattrs, writeXattr } from "../../linux/xattr.ts";
import { belongsToImage } from "../image-xattrs.ts";
import { LayeredTree } from "../tree/layered-tree.ts";
import { EPOCH, IMPLIED_MODE, mtimeOf } from "../unpack/directory-stack.ts";
import { isImplied } from "../unpack/implied.ts";

export interface ParentsTask {
  /** Lowest first. */
  readonly layers: readonly { readonly path: string; readonly impliedDirectories: number }[];
  /** What is made; it does not exist. */
  readonly directory: string;
}

const { O_DIRECTORY } = constants;
const SET_GROUP_ID = 0o2000;

/** Makes the directories that go over layers, and syncs nothing: they can be made again. */
export async function makeParents({ layers, directory }: ParentsTask): Promise<void> {
  using tree = new LayeredTree(layers.map(({ path }) => path));
  const paths = new Set([""]);
  for (const { path, impliedDirectories } of layers) {
    if (impliedDirectories === 0) continue;
    for await (const implied of impliedIn(path)) {
      const [topmost] = tree.partsOf(implied);
      // What is over a directory has to be right, too.
      if (topmost !== undefined && isImplied(topmost)) for (const each of withParents(implied)) paths.add(each);
    }
  }
  const sorted = [...paths].sort();
  // From the root down, since what nobody describes inherits from what it is in; and up again, since that changes times.
  for (const path of sorted) makeParent(describer(tree, path), join(directory, path));
  for (const path of sorted.toReversed()) copyTimes(describer(tree, path), join(directory, path));
}

/** What the topmost layer that describes a directory has there; undefined where none of them does. */
function describer(tree: LayeredTree, path: string): string | undefined {
  return tree.partsOf(path).find((part) => !isImplied(part));
}

/** Paths of the directories in a layer that it implies. */
async function* impliedIn(layer: string, directory = ""): AsyncGenerator<string, void> {
  const entries = await readdir(join(layer, directory), { withFileTypes: true });
  for (const entry of entries) {
    // A name that is not UTF-8 cannot be looked for in other layers: it stays as it is.
    if (!entry.isDirectory() || entry.name.includes("\ufffd")) continue;
    const path = directory === "" ? entry.name : `${directory}/${entry.name}`;
    if (isImplied(join(layer, path))) yield path;
    yield* impliedIn(layer, path);
  }
}

/** `a/b` as `a` and `a/b`. */
function withParents(path: string): string[] {
  const names = path.split("/");
  return names.map((_, index) => names.slice(0, index + 1).join("/"));
}

function makeParent(from: string | undefined, to: string): void {
  mkdirSync(to);
  const target = openSync(to, O_DIRECTORY);
  try {
    // A directory in one with the set-group-id bit has got its group and the bit from the kernel, inode(7).
    if (from === undefined) setDescriptorMode(target, IMPLIED_MODE | (fstatSync(target).mode & SET_GROUP_ID));
    else copyAttributes(from, to, target);
  } finally {
    closeSync(target);
  }
}

function copyAttributes(from: string, to: string, target: number): void {
  const source = openSync(from, O_DIRECTORY);
  try {
    const { uid, gid, mode } = fstatSync(source);
    setDescriptorOwner(target, uid, gid);
    for (const [name, value] of readDescriptorXattrs(source, belongsToImage)) writeXattr(to, name, value);
    setDescriptorMode(target, mode & 0o7777);
  } finally {
    closeSync(source);
  }
}

function copyTimes(from: string | undefined, to: string): void {
  using descriptors = new DisposableStack();
  const open = (path: string): number => descriptors.adopt(openSync(path, O_DIRECTORY), closeSync);
  setDescriptorTimes(open(to), from === undefined ? EPOCH : mtimeOf(open(from)));
}
