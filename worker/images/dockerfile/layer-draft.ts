/**
 * A layer in the making: files that are put over the tree of an image's layers. A path is followed in what both make
 * together, so that it means what it will mean in a container; directories that are there already are repeated with
 * the owner and mode they have, as overlayfs does when it copies up.
 *
 * The draft is a directory of ours that nobody else can reach, and every path in it has been resolved: it holds no
 * symbolic link before the last component.
 */
import {
  chmodSync,
  closeSync,
  copyFileSync,
  lchownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { O } from "../../linux/constants.ts";
import { cString } from "../../linux/libc.ts";
import { makeNode, type DeviceNumber } from "../../linux/files.ts";
import { SystemCallError } from "../../linux/errno.ts";
import { readDescriptorXattrs, writeXattr } from "../../linux/xattr.ts";
import { belongsToImage } from "../image-xattrs.ts";
import { type FileTree, isDirectory, nameOf, parentOf, resolveIn, type TreeEntry } from "../tree/file-tree.ts";

/** What is set on a file beside its content. */
export interface Attributes {
  /** 0 to 65535. */
  readonly uid: number;
  readonly gid: number;
  /** Permission bits, with set-id and sticky bits. */
  readonly mode: number;
  readonly modified?: Date;
  /** Extended attributes by name, of files and directories. */
  readonly xattrs?: ReadonlyMap<string, Uint8Array>;
}

/** A file that is being written. */
export interface FileDraft {
  write(chunk: Uint8Array): void;
  /** Ends it: attributes are set last, since writing takes some of them away. */
  finish(): void;
}

/** Prefix of the names that stand for deletions in a layer's tar (OCI image specification, "Whiteouts"). */
const WHITEOUT_PREFIX = ".wh.";

export class LayerDraft implements FileTree {
  readonly #directory: string;
  readonly #base: FileTree;
  /** Set last, from the bottom up: every file that is put into a directory changes its times. */
  readonly #directories = new Map<string, Attributes>();

  /**
   * @param directory an empty one, which takes the layer
   * @param base the layers below
   */
  constructor(directory: string, base: FileTree) {
    this.#directory = directory;
    this.#base = base;
    chmodSync(directory, 0o755);
  }

  lookUp(directory: string, name: string): TreeEntry | undefined {
    const path = directory === "" ? name : `${directory}/${name}`;
    const status = lstatSync(join(this.#directory, path), { throwIfNoEntry: false });
    if (status === undefined) return this.#hidesBase(directory) ? undefined : this.#base.lookUp(directory, name);
    if (status.isSymbolicLink()) return { path, status, target: readlinkSync(join(this.#directory, path)) };
    return { path, status };
  }

  list(directory: string): string[] {
    const own = this.#has(directory) ? readdirSync(join(this.#directory, directory)) : [];
    return [...new Set([...own, ...(this.#hidesBase(directory) ? [] : this.#base.list(directory))])].sort();
  }

  open(path: string): number {
    if (!this.#has(path)) return this.#base.open(path);
    return openSync(join(this.#directory, path), O.O_RDONLY | O.O_NOFOLLOW);
  }

  /**
   * Makes sure of a directory, following links within the root. What is missing on the way is made with the same
   * attributes; what is there stays as it is.
   * @returns its path without links
   */
  makeDirectory(path: string, attributes: Attributes): string {
    const resolution = resolveIn(this, path);
    if (isDirectory(resolution)) {
      this.#repeat(resolution.path);
      return resolution.path;
    }
    if (resolution.entry !== undefined) throw new Error(`/${resolution.path} is not a directory`);
    const parent = this.makeDirectory(parentOf(resolution.path), attributes);
    const name = nameOf(resolution.path);
    checkName(name);
    const made = parent === "" ? name : `${parent}/${name}`;
    mkdirSync(join(this.#directory, made), { mode: 0o700 });
    this.#directories.set(made, attributes);
    return made;
  }

  /** Gives a directory of the draft other attributes. */
  setDirectory(path: string, attributes: Attributes): void {
    this.#directories.set(path, attributes);
  }

  /** Writes a file, see {@link createFile}. */
  async writeFile(
    directory: string,
    name: string,
    content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    attributes: Attributes,
  ): Promise<void> {
    const file = this.createFile(directory, name, attributes);
    try {
      for await (const chunk of content) file.write(chunk);
    } finally {
      file.finish();
    }
  }

  /**
   * Begins a file, in the place of any other but a directory.
   * @param directory as {@link makeDirectory} returned it
   */
  createFile(directory: string, name: string, attributes: Attributes): FileDraft {
    const path = this.#clear(directory, name);
    const descriptor = openSync(path, O.O_WRONLY | O.O_CREAT | O.O_EXCL | O.O_NOFOLLOW, 0o600);
    return {
      write(chunk) {
        for (let offset = 0; offset < chunk.byteLength;) offset += writeSync(descriptor, chunk, offset);
      },
      finish() {
        closeSync(descriptor);
        setAttributes(path, attributes);
      },
    };
  }

  makeSymlink(directory: string, name: string, target: string, attributes: Attributes): void {
    const path = this.#clear(directory, name);
    symlinkSync(target, path);
    lchownSync(path, attributes.uid, attributes.gid);
    if (attributes.modified !== undefined) lutimesSync(path, attributes.modified, attributes.modified);
  }

  /** Makes one more name of a file, which is copied into the draft first where it comes from a layer below. */
  makeHardLink(directory: string, name: string, target: string): void {
    const { path: original, entry } = resolveIn(this, target, "kept");
    if (entry === undefined || entry === "root" || entry.status.isDirectory()) {
      throw new Error(`a hard link to /${target}, which is no file`);
    }
    if (!this.#has(original)) this.#copyUp(entry);
    const path = this.#clear(directory, name);
    linkSync(join(this.#directory, original), path);
  }

  /** Makes a device or a FIFO. @param type one of S_IFCHR, S_IFBLK, S_IFIFO */
  makeNode(directory: string, name: string, type: number, device: DeviceNumber, attributes: Attributes): void {
    if (type !== 0o10000 && device.major === 0 && device.minor === 0)
      throw new Error(`${name} is a device 0:0, which stands for a deletion`);
    const path = this.#clear(directory, name);
    const result = makeNode(-100, cString(path), type | 0o600, device);
    if (result < 0) throw new SystemCallError("mknodat", -result);
    setAttributes(path, attributes);
  }

  /** Sets what is left to be set. The draft takes nothing more. */
  finish(): void {
    const deepestFirst = [...this.#directories].sort(([one], [other]) => other.length - one.length);
    for (const [path, attributes] of deepestFirst) setAttributes(join(this.#directory, path), attributes);
  }

  #has(path: string): boolean {
    return lstatSync(join(this.#directory, path), { throwIfNoEntry: false }) !== undefined;
  }

  /** Where the draft has a directory and the base something else, or nothing, the base has no say below. */
  #hidesBase(directory: string): boolean {
    if (directory === "") return false;
    if (this.#hidesBase(parentOf(directory))) return true;
    const entry = this.#base.lookUp(parentOf(directory), nameOf(directory));
    return entry === undefined || !entry.status.isDirectory();
  }

  /** Repeats a directory of the base, and those it is in, in the draft. */
  #repeat(path: string): void {
    if (path === "" || this.#has(path)) return;
    this.#repeat(parentOf(path));
    const entry = this.#base.lookUp(parentOf(path), nameOf(path));
    if (entry === undefined) throw new Error(`/${path} is gone`);
    mkdirSync(join(this.#directory, path), { mode: 0o700 });
    this.#directories.set(path, attributesOf(this.#base, entry));
  }

  /** Makes way for a file; returns its path on disk. */
  #clear(directory: string, name: string): string {
    checkName(name);
    const entry = this.lookUp(directory, name);
    if (entry?.status.isDirectory() === true) throw new Error(`/${entry.path} is a directory`);
    const path = join(this.#directory, directory, name);
    rmSync(path, { force: true });
    return path;
  }

  #copyUp(entry: TreeEntry): void {
    this.#repeat(parentOf(entry.path));
    const path = join(this.#directory, entry.path);
    if (entry.target !== undefined) symlinkSync(entry.target, path);
    else {
      const descriptor = this.#base.open(entry.path);
      try {
        copyFileSync(`/proc/self/fd/${descriptor}`, path);
      } finally {
        closeSync(descriptor);
      }
    }
    setAttributes(path, attributesOf(this.#base, entry));
  }
}

/** Owner, mode, time and extended attributes of a file. */
export function attributesOf(tree: FileTree, entry: TreeEntry): Attributes {
  const { status } = entry;
  const { uid, gid, mode, mtime: modified } = status;
  return { uid, gid, mode: mode & 0o7777, modified, xattrs: xattrsOf(tree, entry) };
}

/** Those attributes of a file that an image keeps; other kinds of files have none. */
export function xattrsOf(tree: FileTree, { path, status }: TreeEntry): ReadonlyMap<string, Uint8Array> {
  if (!status.isFile() && !status.isDirectory()) return new Map();
  const descriptor = tree.open(path);
  try {
    return readDescriptorXattrs(descriptor, belongsToImage);
  } finally {
    closeSync(descriptor);
  }
}

function setAttributes(path: string, { uid, gid, mode, modified, xattrs = new Map() }: Attributes): void {
  lchownSync(path, uid, gid);
  if (!lstatSync(path).isSymbolicLink()) chmodSync(path, mode);
  // After the owner: a new one takes capabilities away (chown(2)).
  for (const [name, value] of xattrs) writeXattr(path, name, value);
  if (modified !== undefined) lutimesSync(path, modified, modified);
}

function checkName(name: string): void {
  if (!name.startsWith(WHITEOUT_PREFIX)) return;
  throw new Error(`${name}: names that begin with ${WHITEOUT_PREFIX} stand for deletions in a layer`);
}
