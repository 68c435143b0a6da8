/**
 * What the layers of an image make together, read without mounting anything: a name is looked for from the topmost
 * layer down, a whiteout or an opaque directory ends the search, as overlayfs does it (Documentation/filesystems/
 * overlayfs.rst, "whiteouts and opaque directories").
 *
 * A build context is the tree of one layer. Everything is opened below a layer's own descriptor without following a
 * symbolic link (openat2(2)): whatever a stranger put there, or swaps while we read, leads nowhere else.
 */
import { closeSync, constants, fstatSync, openSync, readdirSync, readlinkSync, type Stats } from "node:fs";
import { constants as system } from "node:os";
import { O } from "../../linux/constants.ts";
import { SystemCallError } from "../../linux/errno.ts";
import { openBelow } from "../../linux/open.ts";
import { readXattr } from "../../linux/xattr.ts";
import type { FileTree, TreeEntry } from "./file-tree.ts";

/** A file and the layer that shows it. */
interface Found {
  readonly layer: number;
  readonly status: Stats;
}

export class LayeredTree implements FileTree, Disposable {
  readonly #resources = new DisposableStack();
  readonly #directories: readonly string[];
  readonly #layers: readonly number[];
  /** The layers that a directory's content comes from, topmost first; layers do not change, so they are kept. */
  readonly #contributors = new Map<string, readonly number[]>();

  /** @param directories of the layers, lowest first */
  constructor(directories: readonly string[]) {
    this.#directories = directories.toReversed();
    try {
      this.#layers = directories
        .toReversed()
        .map((path) =>
          this.#resources.adopt(openSync(path, O.O_PATH | constants.O_DIRECTORY | O.O_CLOEXEC), closeSync),
        );
    } catch (error) {
      this.#resources.dispose();
      throw error;
    }
    this.#contributors.set("", this.#layers);
  }

  /**
   * The layers that make a directory together, topmost first, as paths of what they have there; none where the path is no
   * directory. No symbolic link is in a path, below that of its layer.
   */
  partsOf(directory: string): string[] {
    return this.#contributorsOf(directory).map((layer) => {
      const path = this.#directories[this.#layers.indexOf(layer)] ?? "";
      return directory === "" ? path : `${path}/${directory}`;
    });
  }

  lookUp(directory: string, name: string): TreeEntry | undefined {
    const path = directory === "" ? name : `${directory}/${name}`;
    const found = this.#find(this.#contributorsOf(directory), path);
    if (found === undefined) return undefined;
    const { status } = found;
    return status.isSymbolicLink()
      ? { path, status, target: this.#readLink(found.layer, directory, name) }
      : { path, status };
  }

  list(directory: string): string[] {
    const names = new Set<string>();
    const hidden = new Set<string>();
    for (const layer of this.#contributorsOf(directory)) {
      using descriptors = new DisposableStack();
      const descriptor = openInLayer(layer, directory, O.O_RDONLY | O.O_DIRECTORY);
      if (descriptor === undefined) continue;
      descriptors.adopt(descriptor, closeSync);
      for (const entry of readdirSync(`/proc/self/fd/${descriptor}`, { withFileTypes: true })) {
        const { name } = entry;
        if (names.has(name) || hidden.has(name)) continue;
        const path = directory === "" ? name : `${directory}/${name}`;
        const isDeleted = entry.isCharacterDevice() && statusInLayer(layer, path)?.rdev === 0;
        (isDeleted ? hidden : names).add(name);
      }
    }
    return [...names].sort();
  }

  open(path: string): number {
    const slash = path.lastIndexOf("/");
    const contributors = this.#contributorsOf(path.slice(0, Math.max(0, slash)));
    const found = this.#find(contributors, path);
    const descriptor = found && openInLayer(found.layer, path, O.O_RDONLY | O.O_NOFOLLOW | O.O_NONBLOCK);
    if (descriptor === undefined) throw new SystemCallError("openat2", system.errno.ENOENT);
    return descriptor;
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }

  #find(layers: readonly number[], path: string): Found | undefined {
    for (const layer of layers) {
      const status = statusInLayer(layer, path);
      if (status === undefined) continue;
      return isWhiteout(status) ? undefined : { layer, status };
    }
    return undefined;
  }

  #contributorsOf(directory: string): readonly number[] {
    const known = this.#contributors.get(directory);
    if (known !== undefined) return known;
    const parent = directory.slice(0, Math.max(0, directory.lastIndexOf("/")));
    const contributors: number[] = [];
    for (const layer of this.#contributorsOf(parent)) {
      const status = statusInLayer(layer, directory);
      if (status === undefined) continue;
      if (!status.isDirectory()) break;
      contributors.push(layer);
      if (isOpaque(layer, directory)) break;
    }
    this.#contributors.set(directory, contributors);
    return contributors;
  }

  #readLink(layer: number, directory: string, name: string): string {
    using descriptors = new DisposableStack();
    const descriptor = openInLayer(layer, directory, O.O_PATH | O.O_DIRECTORY);
    if (descriptor === undefined) throw new SystemCallError("readlink", system.errno.ENOENT);
    descriptors.adopt(descriptor, closeSync);
    return readlinkSync(`/proc/self/fd/${descriptor}/${name}`);
  }
}

function isWhiteout(status: Stats): boolean {
  return status.isCharacterDevice() && status.rdev === 0;
}

function isOpaque(layer: number, directory: string): boolean {
  using descriptors = new DisposableStack();
  const descriptor = openInLayer(layer, directory, O.O_PATH | O.O_DIRECTORY);
  if (descriptor === undefined) return false;
  descriptors.adopt(descriptor, closeSync);
  // The dot: an attribute of the directory, not of the link in /proc.
  return readXattr(`/proc/self/fd/${descriptor}/.`, "trusted.overlay.opaque")?.toString() === "y";
}

function statusInLayer(layer: number, path: string): Stats | undefined {
  using descriptors = new DisposableStack();
  const descriptor = openInLayer(layer, path, O.O_PATH | O.O_NOFOLLOW);
  if (descriptor === undefined) return undefined;
  return fstatSync(descriptors.adopt(descriptor, closeSync));
}

/** @returns undefined where the layer has no such file */
function openInLayer(layer: number, path: string, openFlags: number): number | undefined {
  const descriptor = openBelow(layer, path, openFlags, "no symlinks");
  if (descriptor >= 0) return descriptor;
  // ENOTDIR, ELOOP: another layer has a directory where this one has a file or a link; lower layers are hidden by it.
  const absent: readonly number[] = [system.errno.ENOENT, system.errno.ENOTDIR, system.errno.ELOOP];
  if (absent.includes(-descriptor)) return undefined;
  throw new SystemCallError("openat2", -descriptor);
}
