/**
 * What a container left in its writable layer, as an image has it: with the ids that it saw itself, and without what
 * the runtime put there.
 */
import {
  closeSync,
  chmodSync,
  lchownSync,
  lstatSync,
  openSync,
  readdirSync,
  rmdirSync,
  rmSync,
  type Stats,
} from "node:fs";
import { join } from "node:path";
import { setDescriptorXattr } from "../linux/files.ts";
import { cString } from "../linux/libc.ts";
import { readXattr } from "../linux/xattr.ts";
import { O } from "../linux/constants.ts";

/** What the init layer has (worker/container/init-layer.ts): whatever a container made of it is no part of an image. */
const INIT_LAYER_FILES = ["etc/hosts", "etc/hostname", "etc/resolv.conf"];

/** Directories that a container needs and that overlayfs copies up when something is mounted or made there. */
const MOUNT_POINTS = ["dev/shm", "dev", "proc", "sys", "etc", "tmp", "run"];

/**
 * Makes an upper directory whose container is gone the directory of a layer.
 * @param idBase the host's id of the container's root
 * @returns whether it holds any change
 */
export function settleChanges(upper: string, idBase: number): "changed" | "unchanged" {
  for (const path of INIT_LAYER_FILES) rmSync(join(upper, path), { force: true });
  for (const path of MOUNT_POINTS) removeUnlessUsed(join(upper, path));
  shiftOwners(upper, idBase);
  return readdirSync(upper).length > 0 ? "changed" : "unchanged";
}

/** An empty directory says nothing, unless it hides what is below (opaque). */
function removeUnlessUsed(path: string): void {
  const status = lstatSync(path, { throwIfNoEntry: false });
  if (status?.isDirectory() !== true || readdirSync(path).length > 0) return;
  if (readXattr(path, "trusted.overlay.opaque") === undefined) rmdirSync(path);
}

function shiftOwners(directory: string, idBase: number): void {
  shiftOwner(directory, lstatSync(directory), idBase);
  for (const name of readdirSync(directory)) {
    const path = join(directory, name);
    const status = lstatSync(path);
    if (status.isDirectory()) shiftOwners(path, idBase);
    else shiftOwner(path, status, idBase);
  }
}

/** A file with several names is met several times: ids below the base have been shifted, or are overlayfs's own. */
function shiftOwner(path: string, status: Stats, idBase: number): void {
  if (status.uid < idBase && status.gid < idBase) return;
  const capability = status.isFile() ? readXattr(path, "security.capability") : undefined;
  lchownSync(path, shift(status.uid, idBase), shift(status.gid, idBase));
  // A new owner takes these away (chown(2)).
  if (!status.isSymbolicLink() && (status.mode & 0o6000) !== 0) chmodSync(path, status.mode & 0o7777);
  if (capability !== undefined) writeCapability(path, capability);
}

function shift(id: number, idBase: number): number {
  return id < idBase ? id : id - idBase;
}

/** Version 3 names the root of a user namespace: ours, which the image does not have; version 2 does without. */
function writeCapability(path: string, value: Buffer): void {
  const version2 = Buffer.from(value.subarray(0, 20)); // struct vfs_cap_data
  version2.writeUInt32LE(0x0200_0000 | (value.readUInt32LE(0) & 1), 0);
  const descriptor = openSync(path, O.O_RDONLY | O.O_NOFOLLOW);
  try {
    const result = setDescriptorXattr(descriptor, cString("security.capability"), version2);
    if (result < 0) throw new Error(`capabilities of ${path} cannot be kept: errno ${-result}`);
  } finally {
    closeSync(descriptor);
  }
}
