import { closeSync, mkdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { AT, MNT, MOUNT_ATTR, MOVE_MOUNT, OPEN_TREE } from "../../linux/constants.ts";
import { type FileName, inodeOf } from "../../linux/files.ts";
import { cString, mustCall } from "../../linux/libc.ts";
import type { HostFacts, MountedLayer } from "../plan/facts.ts";

/**
 * Layers that stay mounted when no container has them. A mount costs a descriptor and, where layers are named by path,
 * a line in every mount table; jobs bring layers of their own, and there is no end to those.
 */
const IDLE_LAYERS_MAX = 512;

const MOUNT_ATTR_BYTES = 32;

interface Mounted {
  readonly layer: MountedLayer;
  /** The path of its directory. */
  readonly name: FileName;
  readonly inode: bigint;
}

/** Directories of the image store as idmapped mounts: one copy on disk serves the ids of every slot. */
export class MountedLayers implements Disposable {
  readonly #staging: string;
  readonly #overlay: HostFacts["overlay"];
  readonly #userNamespace: number;
  /** By path; used longest ago first. */
  readonly #mounted = new Map<string, Mounted>();
  /** Those whose directory has been exchanged; a container may still have them. */
  readonly #outdated: MountedLayer[] = [];
  #count = 0;

  /** @param staging a directory in the slot's mount namespace, with a directory `layers` */
  constructor(staging: string, overlay: HostFacts["overlay"], userNamespace: number) {
    this.#staging = staging;
    this.#overlay = overlay;
    this.#userNamespace = userNamespace;
  }

  /** The mount of a directory, good until the next {@link tidy}. @throws {SystemCallError} */
  get(path: string): MountedLayer {
    // An image may have been removed and pulled again since: same path, another directory. The mount holds the old one,
    // so that its inode number is nobody else's.
    const known = this.#mounted.get(path);
    const name = known?.name ?? cString(path);
    const inode = inodeOf(name);
    this.#mounted.delete(path);
    if (known !== undefined && known.inode !== inode) this.#outdated.push(known.layer);
    const layer = known?.inode === inode ? known.layer : this.#mount(path, name);
    this.#mounted.set(path, { layer, name, inode });
    return layer;
  }

  /** Unmounts what has not been used for longest. To be called while there is no container. */
  tidy(): void {
    for (const layer of this.#outdated.splice(0)) this.#unmount(layer);
    for (const [path, { layer }] of this.#mounted) {
      if (this.#mounted.size <= IDLE_LAYERS_MAX) break;
      this.#mounted.delete(path);
      this.#unmount(layer);
    }
  }

  /** The mounts go with the slot's mount namespace. */
  [Symbol.dispose](): void {
    for (const { layer } of this.#mounted.values()) closeSync(layer.descriptor.descriptor);
    for (const layer of this.#outdated) closeSync(layer.descriptor.descriptor);
    this.#mounted.clear();
  }

  #mount(path: string, name: FileName): MountedLayer {
    const tree = mustCall("open_tree", AT.AT_FDCWD, name, OPEN_TREE.OPEN_TREE_CLONE | OPEN_TREE.OPEN_TREE_CLOEXEC);
    using descriptors = new DisposableStack();
    descriptors.adopt(tree, closeSync);
    const attributes = Buffer.alloc(MOUNT_ATTR_BYTES); // struct mount_attr
    const { MOUNT_ATTR_IDMAP, MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV } = MOUNT_ATTR;
    attributes.writeBigUInt64LE(BigInt(MOUNT_ATTR_IDMAP | MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV), 0);
    attributes.writeBigUInt64LE(BigInt(this.#userNamespace), 24);
    const empty = cString("");
    mustCall("mount_setattr", tree, empty, AT.AT_EMPTY_PATH, attributes, MOUNT_ATTR_BYTES);
    const mountPoint = `layers/${this.#count++}`;
    if (this.#overlay === "paths") attachAt(tree, join(this.#staging, mountPoint));
    descriptors.move();
    return { descriptor: { kind: "held", descriptor: tree, text: `layer ${path}` }, path: mountPoint };
  }

  #unmount({ descriptor, path }: MountedLayer): void {
    closeSync(descriptor.descriptor);
    if (this.#overlay === "paths") detach(join(this.#staging, path));
  }
}

/** Attaches a detached mount in the slot's mount namespace. */
export function attachAt(mount: number, path: string): void {
  mkdirSync(path);
  const [empty, target] = [cString(""), cString(path)];
  mustCall("move_mount", mount, empty, AT.AT_FDCWD, target, MOVE_MOUNT.MOVE_MOUNT_F_EMPTY_PATH);
}

/**
 * Takes away what was attached, and its mount point: with that it is gone from the sandbox that waits, too, which has its
 * own of every mount that there was when it was made.
 */
export function detach(path: string): void {
  const name = cString(path);
  mustCall("umount2", name, MNT.MNT_DETACH);
  rmdirSync(path);
}
