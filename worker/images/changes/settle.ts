/**
 * What a container left in its writable layer, as an image has it: with the ids that it saw itself, and without what
 * the runtime put there.
 *
 *   in the upper directory          in the layer
 *   files of the init layer         none, whatever was made of them
 *   empty mount points              none
 *   owners of the slot's range      0 to 65535
 *   whiteouts, opaque directories   the same: a layer on disk has overlayfs's own form
 *   user.* attributes               the same
 *   security.capability             version 2: version 3 names the root of a user namespace, which no image has
 *   other attributes                none: they belong to this host, or are overlayfs's notes about the layers below
 *   sockets                         none: they lead to processes that are gone
 *
 * The tree is a stranger's, and nobody changes it any more. Paths are bytes, since names need not be UTF-8; nothing is
 * reached through a symbolic link of the tree's.
 */
import {
  chmodSync,
  closeSync,
  lchownSync,
  lstatSync,
  lutimesSync,
  openSync,
  readdirSync,
  rmdirSync,
  rmSync,
  type Stats,
} from "node:fs";
import { setDescriptorXattr } from "../../linux/files.ts";
import { cString } from "../../linux/libc.ts";
import { O } from "../../linux/constants.ts";
import { belongsToImage } from "../image-xattrs.ts";
import { DEPTH_MAX } from "../unpack/limits.ts";
import { listXattrs, readXattr, removeXattr } from "../../linux/xattr.ts";

/** An upper directory, whose container is gone. */
export interface SettleTask {
  readonly directory: string;
  /** The host's id of the container's root. */
  readonly idBase: number;
  /** Where the runtime mounted something that not every container has, or made a directory its user's; absolute. */
  readonly runtimeDirectories?: readonly string[];
  /** What its files may hold, in bytes; holes count like what they are in the layer's tar. No limit when left out. */
  readonly bytesMax?: number;
}

export type SettleResult =
  | { readonly kind: "changed" | "unchanged" }
  /** It cannot be a layer. */
  | { readonly kind: "refused"; readonly reason: string };

/** What the init layer has (worker/container/init-layer.ts): whatever a container made of it is no part of an image. */
const INIT_LAYER_FILES = ["etc/hosts", "etc/hostname", "etc/resolv.conf"];

/** Directories that a container needs and that overlayfs copies up when something is mounted or made there. */
const MOUNT_POINTS = ["dev/shm", "dev", "proc", "sys", "etc", "tmp", "run"];

/** Prefix of the names that stand for deletions in a layer's tar (OCI image specification, "Whiteouts"). */
const WHITEOUT_PREFIX = Buffer.from(".wh.");

const OPAQUE = "trusted.overlay.opaque";

/** The reason for a refusal. */
class Refusal extends Error {}

/** Makes an upper directory the directory of a layer. Blocks its thread: see `settleInThread`. */
export function settleChanges({ directory, idBase, runtimeDirectories = [], bytesMax }: SettleTask): SettleResult {
  try {
    const root = Buffer.from(directory);
    for (const path of INIT_LAYER_FILES) removeInitFile(root, path);
    // The deepest first: with it, its parents may become empty.
    const made = runtimeDirectories.flatMap(withParents).toSorted((one, other) => other.length - one.length);
    for (const path of [...made, ...MOUNT_POINTS]) removeUnlessUsed(root, path);
    const settler = new Settler(idBase, bytesMax ?? Number.POSITIVE_INFINITY);
    settler.settleDirectory(root, lstatSync(root), 0);
    return { kind: readdirSync(root).length > 0 ? "changed" : "unchanged" };
  } catch (error) {
    if (error instanceof Refusal) return { kind: "refused", reason: error.message };
    throw error;
  }
}

function removeInitFile(root: Buffer, path: string): void {
  const found = findBelow(root, path);
  if (found === undefined) return;
  keepingTimes(parentOf(found), () => rmSync(found, { recursive: true, force: true }));
}

/** An empty directory says nothing, unless it hides what is below (opaque). */
function removeUnlessUsed(root: Buffer, path: string): void {
  const found = findBelow(root, path);
  if (found === undefined || !lstatSync(found).isDirectory() || readdirSync(found).length > 0) return;
  if (readXattr(found, OPAQUE) === undefined) keepingTimes(parentOf(found), () => rmdirSync(found));
}

/** The file of this path; undefined where there is none, or where a symbolic link would lead to it. */
function findBelow(root: Buffer, path: string): Buffer | undefined {
  let found = root;
  const names = path.split("/").filter((name) => name !== "");
  for (const name of names) {
    if (!lstatSync(found).isDirectory()) return undefined;
    found = join(found, Buffer.from(name));
    if (lstatSync(found, { throwIfNoEntry: false }) === undefined) return undefined;
  }
  return found;
}

/** `/a/b` as `a/b` and `a`. */
function withParents(path: string): string[] {
  const names = path.split("/").filter((name) => name !== "" && name !== ".");
  return names.map((_, index) => names.slice(0, index + 1).join("/"));
}

/** What is taken away leaves no trace in the directory that it was in. */
function keepingTimes(directory: Buffer, change: () => void): void {
  const { atime, mtime } = lstatSync(directory);
  change();
  lutimesSync(directory, atime, mtime);
}

class Settler {
  readonly #idBase: number;
  readonly #bytesMax: number;
  readonly #counted = new Set<number>();
  #bytes = 0;

  constructor(idBase: number, bytesMax: number) {
    this.#idBase = idBase;
    this.#bytesMax = bytesMax;
  }

  settleDirectory(path: Buffer, status: Stats, depth: number): void {
    // Nobody could pull it.
    if (depth > DEPTH_MAX) throw new Refusal(`its directories are deeper than ${DEPTH_MAX}`);
    for (const name of readdirSync(path, { encoding: "buffer" })) this.#settle(path, name, depth + 1);
    this.#describe(path, status);
  }

  #settle(directory: Buffer, name: Buffer, depth: number): void {
    if (name.subarray(0, WHITEOUT_PREFIX.length).equals(WHITEOUT_PREFIX)) {
      throw new Refusal(`it has a file named ${show(name)}: names that begin with .wh. stand for deletions in a layer`);
    }
    const path = join(directory, name);
    const status = lstatSync(path);
    if (status.isDirectory()) return this.settleDirectory(path, status, depth);
    if (status.isSocket()) return keepingTimes(directory, () => rmSync(path));
    if (status.isFile()) this.#count(status);
    this.#describe(path, status);
  }

  #count({ ino, size }: Stats): void {
    if (this.#counted.has(ino)) return;
    this.#counted.add(ino);
    this.#bytes += size;
    if (this.#bytes > this.#bytesMax)
      throw new Refusal(`its files are larger than ${this.#bytesMax} bytes together, holes included`);
  }

  /** A file with several names is met several times: ids below the base have been shifted, or are overlayfs's own. */
  #describe(path: Buffer, status: Stats): void {
    const capability = status.isFile() ? readXattr(path, "security.capability") : undefined;
    for (const name of listXattrs(path)) if (!isKept(name, status)) removeXattr(path, name);
    const { uid, gid, mode } = status;
    if (uid >= this.#idBase || gid >= this.#idBase) {
      lchownSync(path, this.#shift(uid), this.#shift(gid));
      // A new owner takes these away (chown(2)), and the capability.
      if (!status.isSymbolicLink() && (mode & 0o6000) !== 0) chmodSync(path, mode & 0o7777);
    }
    if (capability !== undefined) writeCapability(path, capability);
  }

  #shift(id: number): number {
    return id < this.#idBase ? id : id - this.#idBase;
  }
}

function isKept(name: string, status: Stats): boolean {
  if (name === OPAQUE) return status.isDirectory();
  return belongsToImage(name);
}

function writeCapability(path: Buffer, value: Buffer): void {
  const version2 = Buffer.from(value.subarray(0, 20)); // struct vfs_cap_data
  version2.writeUInt32LE(0x0200_0000 | (value.readUInt32LE(0) & 1), 0);
  const descriptor = openSync(path, O.O_RDONLY | O.O_NOFOLLOW);
  try {
    const result = setDescriptorXattr(descriptor, cString("security.capability"), version2);
    if (result < 0) throw new Error(`capabilities of ${show(path)} cannot be kept: errno ${-result}`);
  } finally {
    closeSync(descriptor);
  }
}

function join(directory: Buffer, name: Buffer): Buffer {
  return Buffer.concat([directory, Buffer.from("/"), name]);
}

function parentOf(path: Buffer): Buffer {
  return path.subarray(0, path.lastIndexOf("/"));
}

/** A name for people: no control character of it reaches a terminal. */
function show(name: Buffer): string {
  return JSON.stringify(name.toString("latin1"));
}
