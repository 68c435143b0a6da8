/**
 * Makes the files of a layer from its entries, in the form in which overlayfs takes a lower directory.
 *
 *   in the archive          on disk
 *   .wh.x                   character device 0:0 named x
 *   dir/.wh..wh..opq        trusted.overlay.opaque = "y" on dir
 *   owners 0 to 65535       the same; others are refused, a container has no such ids
 *   set-id bits             kept; containers mount their root nosuid and run with no_new_privs
 *   devices                 kept, but 0:0, which would be a whiteout; containers mount their root nodev
 *   xattrs                  `user.*` and `security.capability` kept, as Docker and containerd record them; others
 *                           belong to the host that wrote them (trusted.overlay.redirect would even lead overlayfs astray)
 *   directories not listed  made, root's (or the job's whose layer it is), 0755, of 1970
 *
 * The specification forbids two entries of one path. A directory that is listed again just gets its attributes again:
 * builders list parents with each file. Everything else is refused: which one counts, readers do not agree about.
 */
import { closeSync, fstatSync, type Stats, writeSync } from "node:fs";
import { constants } from "node:os";
import { O, S } from "../../linux/constants.ts";
import { SystemCallError } from "../../linux/errno.ts";
import {
  createFile,
  type FileName,
  linkDescriptor,
  makeDirectory,
  makeNode,
  makeSymlink,
  removeFile,
  setDescriptorMode,
  setDescriptorOwner,
  setDescriptorTimes,
  setDescriptorXattr,
  setOwner,
  setTimes,
} from "../../linux/files.ts";
import { openBelow } from "../../linux/open.ts";
import { belongsToImage } from "../image-xattrs.ts";
import { DirectoryStack, fileName, type ImpliedOwner } from "./directory-stack.ts";
import { type EntryPath, parseEntryPath, parseLinkTarget } from "./entry-path.ts";
import { ID_MAX, PATH_BYTES_MAX } from "./limits.ts";
import { LayerRefusal } from "./refusal.ts";
import type { TarEntry } from "./tar-reader.ts";

type NamedPath = Extract<EntryPath, { name: string }>;

const { EEXIST, ELOOP, EMLINK, ENOENT, ENOTDIR } = constants.errno;
const SET_ID_BITS = 0o6000;
const WHITEOUT_DEVICE = { major: 0, minor: 0 };
const OPAQUE = { name: fileName("trusted.overlay.opaque"), value: Buffer.from("y") };

/** A layer's directory while its archive is being unpacked into it. */
export class LayerTree implements Disposable {
  readonly #directories: DirectoryStack;
  /** A descriptor of the layer's directory. */
  readonly #root: number;
  /** The file that is being written. */
  #file: { readonly descriptor: number; readonly entry: TarEntry } | undefined;

  /**
   * @param root a descriptor of an empty directory; the tree closes it. Its thread's umask has to be 0.
   * @param impliedOwner whose directories are that are not listed; root's unless stated
   */
  constructor(root: number, impliedOwner?: ImpliedOwner) {
    this.#root = root;
    this.#directories = new DirectoryStack(root, impliedOwner);
  }

  /** Directories that have been made without an entry; some may have got one later. */
  get madeUnasked(): number {
    return this.#directories.made;
  }

  /** Directories that have no entry, see `implied.ts`. */
  get implied(): number {
    return this.#directories.implied;
  }

  /** Makes what an entry stands for; a file's content follows. @throws {LayerRefusal} */
  begin(entry: TarEntry): void {
    const path = parseEntryPath(entry.name);
    switch (path.kind) {
      case "root":
        return this.#describeDirectory([], entry);
      case "whiteout":
        insistOnFile(entry);
        return this.#makeWhiteout(path);
      case "opaque":
        insistOnFile(entry);
        if (path.parent.length === 0)
          throw new LayerRefusal("it hides all layers below, which overlayfs cannot do to a root directory");
        return makeOpaque(this.#directories.enter(path.parent));
      case "file":
        return this.#make(path, entry);
      default:
        return path satisfies never;
    }
  }

  /** Writes to the file begun last; the content of a whiteout is nobody's. */
  write(chunk: Buffer): void {
    if (this.#file === undefined) return;
    for (let offset = 0; offset < chunk.length;) offset += writeSync(this.#file.descriptor, chunk, offset);
  }

  /** Finishes the file begun last. */
  end(): void {
    if (this.#file === undefined) return;
    const { descriptor, entry } = this.#file;
    // The order counts: a change of owner takes set-id bits and capabilities away.
    setDescriptorOwner(descriptor, entry.uid, entry.gid);
    setXattrs(descriptor, entry);
    if ((entry.mode & SET_ID_BITS) !== 0) setDescriptorMode(descriptor, entry.mode);
    setDescriptorTimes(descriptor, entry.mtime);
    closeSync(descriptor);
    this.#file = undefined;
  }

  /** Finishes the layer: the mtimes of the directories that are still open. */
  finish(): void {
    this.#directories.finish();
  }

  [Symbol.dispose](): void {
    if (this.#file !== undefined) closeSync(this.#file.descriptor);
    this.#directories[Symbol.dispose]();
  }

  #make(path: NamedPath, entry: TarEntry): void {
    insistOnOwner(entry);
    if (entry.type === "directory") return this.#makeDirectory(path, entry);
    const parent = this.#directories.enter(path.parent);
    const name = fileName(path.name);
    switch (entry.type) {
      case "file":
        this.#file = { descriptor: overWhiteout(parent, name, () => createFile(parent, name, entry.mode)), entry };
        return;
      case "hard link":
        return this.#makeHardLink(parent, name, entry);
      case "symlink":
        insistOnTarget(entry);
        overWhiteout(parent, name, () => makeSymlink(fileName(entry.linkName), parent, name));
        break;
      case "fifo":
        overWhiteout(parent, name, () => makeNode(parent, name, S.S_IFIFO | entry.mode, WHITEOUT_DEVICE));
        break;
      case "character device":
      case "block device":
        makeDevice(parent, name, entry);
        break;
      default:
        return entry.type satisfies never;
    }
    setOwner(parent, name, entry.uid, entry.gid);
    setTimes(parent, name, entry.mtime);
  }

  #makeDirectory(path: NamedPath, entry: TarEntry): void {
    const parent = this.#directories.enter(path.parent);
    const name = fileName(path.name);
    const made = makeDirectory(parent, name, 0o700);
    const isWhiteout = made === -EEXIST && typeAt(parent, name)?.isCharacterDevice() === true;
    if (isWhiteout && isWhiteoutAt(parent, name)) {
      // Deleted below and made anew: nothing of the layers below shows in it.
      unwrap("unlinkat", removeFile(parent, name));
      unwrap("mkdirat", makeDirectory(parent, name, 0o700));
      makeOpaque(this.#directories.enter([...path.parent, path.name]));
    } else if (made === -EEXIST) {
      if (typeAt(parent, name)?.isDirectory() !== true) throw new LayerRefusal(DUPLICATE);
    } else {
      unwrap("mkdirat", made);
    }
    this.#describeDirectory([...path.parent, path.name], entry);
  }

  #describeDirectory(path: readonly string[], entry: TarEntry): void {
    if (entry.type !== "directory") throw new LayerRefusal(`it makes the root directory a ${entry.type}`);
    insistOnOwner(entry);
    const descriptor = this.#directories.enter(path);
    setDescriptorOwner(descriptor, entry.uid, entry.gid);
    setXattrs(descriptor, entry);
    setDescriptorMode(descriptor, entry.mode);
    this.#directories.describe(entry.mtime);
  }

  #makeHardLink(parent: number, name: FileName, entry: TarEntry): void {
    const target = parseLinkTarget(entry.linkName);
    // The stack stays where it is: the target is opened from the root, and no link on the way is followed.
    const path = fileName([...target.parent, target.name].join("/"));
    const descriptor = openBelow(this.#root, path, O.O_PATH | O.O_NOFOLLOW, "no symlinks");
    if (descriptor === -ENOENT || descriptor === -ENOTDIR)
      throw new LayerRefusal("it is a hard link to a file that the layer does not have");
    if (descriptor === -ELOOP) throw new LayerRefusal("it is a hard link to a path through a symlink");
    unwrap("openat2", descriptor);
    try {
      const stats = fstatSync(descriptor);
      if (stats.isDirectory() || isWhiteout(stats))
        throw new LayerRefusal("it is a hard link to something that is no file");
      const linked = (): number => linkDescriptor(descriptor, parent, name);
      overWhiteout(parent, name, linked);
    } finally {
      closeSync(descriptor);
    }
  }

  #makeWhiteout(path: NamedPath): void {
    const parent = this.#directories.enter(path.parent);
    const name = fileName(path.name);
    const made = makeNode(parent, name, S.S_IFCHR, WHITEOUT_DEVICE);
    if (made !== -EEXIST) {
      unwrap("mknodat", made);
      return;
    }
    // The layer itself has the name: the whiteout speaks of the layers below, which a file hides anyway.
    const stats = typeAt(parent, name);
    if (stats?.isDirectory() === true) makeOpaque(this.#directories.enter([...path.parent, path.name]));
    else if (stats !== undefined && isWhiteout(stats)) throw new LayerRefusal(DUPLICATE);
  }
}

const DUPLICATE = "it is in the layer twice";

function insistOnOwner({ uid, gid }: TarEntry): void {
  if (uid < 0 || uid > ID_MAX || gid < 0 || gid > ID_MAX)
    throw new LayerRefusal(`its owner ${uid}:${gid} is outside of 0 to ${ID_MAX}, the ids that a container has`);
}

/** Where a symlink leads is the container's business; it only has to be something that a symlink can hold. */
function insistOnTarget({ linkName }: TarEntry): void {
  if (linkName === "" || linkName.length > PATH_BYTES_MAX || linkName.includes("\0"))
    throw new LayerRefusal("it is a symlink whose target cannot be: it is empty, has a NUL, or is too long");
}

function insistOnFile({ type }: TarEntry): void {
  if (type !== "file") throw new LayerRefusal(`it is a whiteout that is a ${type}`);
}

/** Makes something under a name; a whiteout of that name gives way, because what replaces it hides as much. */
function overWhiteout(parent: number, name: FileName, make: () => number): number {
  let result = make();
  if (result === -EEXIST && isWhiteoutAt(parent, name)) {
    unwrap("unlinkat", removeFile(parent, name));
    result = make();
  }
  if (result === -EEXIST) throw new LayerRefusal(DUPLICATE);
  if (result === -EMLINK) throw new LayerRefusal("its target has more hard links than the file system can hold");
  return unwrap("creating it", result);
}

function makeDevice(parent: number, name: FileName, { type, mode, device }: TarEntry): void {
  const { major, minor } = device;
  if (major < 0 || major > 0xfff || minor < 0 || minor > 0xfffff)
    throw new LayerRefusal(`its device number ${major}:${minor} is none`);
  if (type === "character device" && major === 0 && minor === 0)
    throw new LayerRefusal("it is overlayfs's own form of a whiteout, which only a .wh. file may ask for");
  const format = type === "character device" ? S.S_IFCHR : S.S_IFBLK;
  overWhiteout(parent, name, () => makeNode(parent, name, format | mode, device));
}

function setXattrs(descriptor: number, { xattrs }: TarEntry): void {
  for (const [name, value] of xattrs) {
    if (!belongsToImage(name)) continue;
    const result = name.includes("\0")
      ? -constants.errno.EINVAL
      : setDescriptorXattr(descriptor, fileName(name), value);
    if (result < 0)
      throw new LayerRefusal(
        `its attribute ${JSON.stringify(name)} cannot be set: ${new SystemCallError("fsetxattr", -result).errno}`,
      );
  }
}

function makeOpaque(directory: number): void {
  unwrap("fsetxattr", setDescriptorXattr(directory, OPAQUE.name, OPAQUE.value));
}

function isWhiteoutAt(parent: number, name: FileName): boolean {
  const stats = typeAt(parent, name);
  return stats !== undefined && isWhiteout(stats);
}

function isWhiteout(stats: Stats): boolean {
  return stats.isCharacterDevice() && stats.rdev === 0;
}

function typeAt(parent: number, name: FileName): Stats | undefined {
  const descriptor = openBelow(parent, name, O.O_PATH | O.O_NOFOLLOW, "no symlinks");
  if (descriptor < 0) return undefined;
  try {
    return fstatSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function unwrap(call: string, result: number): number {
  if (result < 0) throw new SystemCallError(call, -result);
  return result;
}
