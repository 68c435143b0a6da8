/**
 * Gives directories that a layer only implies the attributes that they have in the image.
 *
 *   layer 1   tmp/  1777                            merged without   tmp/  0755, since overlayfs shows a directory
 *   layer 2   tmp/x (and no entry of tmp/)                                 as the topmost layer has it
 *
 *   over them: tmp/  1777, empty                    merged           tmp/  1777
 *
 * Others unpack a layer once for each image that has it on something else (containerd's snapshots are named by the chain
 * of layers, and mkparent() of its archive package takes what the parents below have), or unpack all of an image into
 * one directory, as umoci does. Here layers are shared by whoever has them, so the attributes are a layer of their own,
 * of empty directories: one for a chain of layers, and only where one of them implies something.
 */
import { randomUUID } from "node:crypto";
import { closeSync, constants, existsSync, fstatSync, mkdirSync, openSync } from "node:fs";
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { setDescriptorMode, setDescriptorOwner, setDescriptorTimes } from "../linux/files.ts";
import { readDescriptorXattrs, writeXattr } from "../linux/xattr.ts";
import { type Digest, digestOf, hexOf, isDigest } from "./digest.ts";
import { syncDirectory } from "./durable.ts";
import { belongsToImage } from "./image-xattrs.ts";
import type { StoredLayer } from "./layers.ts";
import { LayeredTree } from "./tree/layered-tree.ts";
import { EPOCH, IMPLIED_MODE, mtimeOf } from "./unpack/directory-stack.ts";
import { isImplied } from "./unpack/implied.ts";

type Layers = readonly Pick<StoredLayer, "digest" | "path" | "impliedDirectories">[];

/** Changes with how the directories are made, so that those of an earlier version are not used. */
const VERSION = 1;

const { O_DIRECTORY } = constants;
const SET_GROUP_ID = 0o2000;

/**
 * What names the directories that go over a chain of layers, lowest first; undefined where there is nothing to set right.
 */
export function parentsKeyOf(layers: Layers): Digest | undefined {
  const needed = layers.slice(1).some(({ impliedDirectories = 0 }) => impliedDirectories > 0);
  return needed ? digestOf(JSON.stringify([VERSION, layers.map(({ digest }) => digest)])) : undefined;
}

/** The directories that go over chains of layers, each below a directory named by its {@link parentsKeyOf}. */
export class ImpliedParents {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static async open(directory: string): Promise<ImpliedParents> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    return new ImpliedParents(directory);
  }

  /** Where the directories of a chain are; undefined while nobody has made them. At once, since each job asks. */
  find(key: Digest): string | undefined {
    const path = join(this.#directory, hexOf(key));
    return existsSync(path) ? path : undefined;
  }

  /**
   * Makes the directories of a chain.
   * @param staging a directory of the same file system, which nobody clears meanwhile
   */
  async make(key: Digest, layers: Layers, staging: string): Promise<string> {
    const path = join(this.#directory, hexOf(key));
    const staged = join(staging, `parents-${randomUUID()}`);
    try {
      await makeParents(layers, staged);
      // Whoever was first has made the same.
      await rename(staged, path).catch(ignoreExisting);
      await syncDirectory(this.#directory);
    } finally {
      await rm(staged, { recursive: true, force: true });
    }
    return path;
  }

  /** Removes all but those of some chains. @param staging where what is being removed goes first */
  async removeOthers(kept: ReadonlySet<Digest>, staging: string): Promise<void> {
    for (const name of await readdir(this.#directory)) {
      const key = `sha256:${name}`;
      if (isDigest(key) && kept.has(key)) continue;
      const grave = join(staging, `removed-parents-${name}`);
      await rename(join(this.#directory, name), grave);
      await rm(grave, { recursive: true, force: true });
    }
  }
}

async function makeParents(layers: Layers, staged: string): Promise<void> {
  using tree = new LayeredTree(layers.map(({ path }) => path));
  const paths = new Set([""]);
  for (const { path, impliedDirectories = 0 } of layers) {
    if (impliedDirectories === 0) continue;
    for await (const implied of impliedIn(path)) {
      const [topmost] = tree.partsOf(implied);
      // What is over a directory has to be right, too.
      if (topmost !== undefined && isImplied(topmost)) for (const each of withParents(implied)) paths.add(each);
    }
  }
  const sorted = [...paths].sort();
  // From the root down, since what nobody describes inherits from what it is in; and up again, since that changes times.
  for (const path of sorted) makeParent(describer(tree, path), join(staged, path));
  for (const path of sorted.toReversed()) copyTimes(describer(tree, path), join(staged, path));
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

function ignoreExisting(error: unknown): void {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code !== "ENOTEMPTY" && code !== "EEXIST") throw error;
}
