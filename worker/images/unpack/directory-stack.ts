/**
 * The directories on the way to where an archive is being unpacked, open from the layer's root down.
 *
 * An entry's parent is found by walking from the directory of the entry before, which is nearly always the same one.
 * Each step opens one name without following a link: a parent is a real directory that this layer made, or it is
 * refused. Whatever happens inside a directory changes its mtime, so that is set when the walk leaves it; nothing
 * has to be remembered about directories that were left, however many there are.
 */
import { closeSync, fstatSync } from "node:fs";
import { constants } from "node:os";
import { O } from "../../linux/constants.ts";
import { SystemCallError } from "../../linux/errno.ts";
import {
  type FileName,
  makeDirectory,
  setDescriptorOwner,
  setDescriptorTimes,
  type Timestamp,
} from "../../linux/files.ts";
import { openBelow } from "../../linux/open.ts";
import { markImplied, unmarkImplied } from "./implied.ts";
import { LayerRefusal } from "./refusal.ts";

/** What Docker gives to a directory that an archive implies only, and that no layer below has. */
export const IMPLIED_MODE = 0o755;

/** Whose such a directory is. */
export interface ImpliedOwner {
  readonly uid: number;
  readonly gid: number;
}

/** As Docker has it. */
const ROOT: ImpliedOwner = { uid: 0, gid: 0 };

/** The same for everybody who unpacks the layer. */
export const EPOCH: Timestamp = { seconds: 0, nanoseconds: 0 };

const { EEXIST, ELOOP, ENOENT, ENOTDIR } = constants.errno;

interface Level {
  readonly name: string;
  readonly descriptor: number;
  mtime: Timestamp;
}

/** A name for the kernel, from raw bytes (latin1). */
export function fileName(name: string): FileName {
  return Buffer.from(`${name}\0`, "latin1");
}

export class DirectoryStack implements Disposable {
  readonly #root: Level;
  readonly #impliedOwner: ImpliedOwner;
  readonly #levels: Level[] = [];
  #made = 0;
  #implied = 0;

  /**
   * @param root a descriptor of the layer's directory; the stack closes it
   * @param impliedOwner whose the directories are that {@link enter} makes
   */
  constructor(root: number, impliedOwner: ImpliedOwner = ROOT) {
    this.#root = { name: "", descriptor: root, mtime: EPOCH };
    markImplied(root);
    this.#impliedOwner = impliedOwner;
  }

  /**
   * Opens a directory, and makes it with those above it where they are missing.
   * @returns its descriptor, good until the next call
   * @throws {LayerRefusal} when a name on the way is something else than a directory of this layer
   */
  enter(path: readonly string[]): number {
    let common = 0;
    while (common < path.length && common < this.#levels.length && this.#levels[common]?.name === path[common])
      common++;
    while (this.#levels.length > common) this.#leave();
    for (const name of path.slice(common)) this.#levels.push(this.#open(name));
    return this.#top().descriptor;
  }

  /** Directories made because something was to be in them. */
  get made(): number {
    return this.#made;
  }

  /** Of those, how many have not been described; the root, which nobody sees, does not count. */
  get implied(): number {
    return this.#implied;
  }

  /** The directory entered last has an entry of its own, with the mtime that it will have. */
  describe(mtime: Timestamp): void {
    const top = this.#top();
    top.mtime = mtime;
    if (unmarkImplied(top.descriptor) && top !== this.#root) this.#implied--;
  }

  /** Leaves all directories, and sets the root's mtime. */
  finish(): void {
    while (this.#levels.length > 0) this.#leave();
    setDescriptorTimes(this.#root.descriptor, this.#root.mtime);
  }

  [Symbol.dispose](): void {
    for (const { descriptor } of this.#levels.splice(0)) closeSync(descriptor);
    closeSync(this.#root.descriptor);
  }

  #top(): Level {
    return this.#levels.at(-1) ?? this.#root;
  }

  #leave(): void {
    const level = this.#levels.pop();
    if (level === undefined) return;
    try {
      setDescriptorTimes(level.descriptor, level.mtime);
    } finally {
      closeSync(level.descriptor);
    }
  }

  #open(name: string): Level {
    const parent = this.#top().descriptor;
    const bytes = fileName(name);
    const made = makeDirectory(parent, bytes, IMPLIED_MODE);
    if (made < 0 && -made !== EEXIST) throw new SystemCallError("mkdirat", -made);
    const descriptor = openDirectory(parent, bytes);
    if (made === 0) {
      const { uid, gid } = this.#impliedOwner;
      if (uid !== ROOT.uid || gid !== ROOT.gid) setDescriptorOwner(descriptor, uid, gid);
      markImplied(descriptor);
      this.#made++;
      this.#implied++;
      return { name, descriptor, mtime: EPOCH };
    }
    return { name, descriptor, mtime: mtimeOf(descriptor) };
  }
}

const NANOSECONDS = 1_000_000_000n;

/** When an open file was changed last. */
export function mtimeOf(descriptor: number): Timestamp {
  const { mtimeNs } = fstatSync(descriptor, { bigint: true });
  const seconds = mtimeNs >= 0n ? mtimeNs / NANOSECONDS : (mtimeNs - NANOSECONDS + 1n) / NANOSECONDS;
  return { seconds: Number(seconds), nanoseconds: Number(mtimeNs - seconds * NANOSECONDS) };
}

function openDirectory(parent: number, name: FileName): number {
  const descriptor = openBelow(parent, name, O.O_RDONLY | O.O_DIRECTORY, "no symlinks");
  switch (-descriptor) {
    case ELOOP:
      throw new LayerRefusal("a directory in its path is a symlink");
    case ENOTDIR:
      throw new LayerRefusal("a directory in its path is a file");
    case ENOENT:
      throw new LayerRefusal("a directory in its path is missing");
    default:
      if (descriptor < 0) throw new SystemCallError("openat2", -descriptor);
      return descriptor;
  }
}
