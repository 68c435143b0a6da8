/**
 * Files by directory descriptor and name, which Node's `fs` cannot do, or not as fast. Every name is one component, in raw bytes: what
 * is no UTF-8 stays what it is. Nothing here follows a symbolic link.
 */
import { AT, CLONE, O } from "./constants.ts";
import { mustCall, systemCall } from "./libc.ts";

/** A name as the kernel takes it: any bytes but `/`, and a NUL at the end. */
export type FileName = Buffer;

/** A moment as the kernel stores it, in seconds and nanoseconds since 1970. */
export interface Timestamp {
  /** Whole; negative before 1970. */
  readonly seconds: number;
  /** 0 to 999,999,999. */
  readonly nanoseconds: number;
}

export interface DeviceNumber {
  /** 12 bits. */
  readonly major: number;
  /** 20 bits. */
  readonly minor: number;
}

/**
 * Creates a file that did not exist and opens it for writing (openat(2)).
 * @returns a descriptor, or a negated errno: EEXIST where the name is taken
 */
export function createFile(directory: number, name: FileName, mode: number): number {
  const flags = O.O_WRONLY | O.O_CREAT | O.O_EXCL | O.O_NOFOLLOW | O.O_CLOEXEC;
  return systemCall("openat", directory, name, flags, mode);
}

/** mkdirat(2); returns 0 or a negated errno. */
export function makeDirectory(directory: number, name: FileName, mode: number): number {
  return systemCall("mkdirat", directory, name, mode);
}

/** symlinkat(2); returns 0 or a negated errno. */
export function makeSymlink(target: FileName, directory: number, name: FileName): number {
  return systemCall("symlinkat", target, directory, name);
}

/** mknodat(2), for devices and FIFOs; returns 0 or a negated errno. */
export function makeNode(directory: number, name: FileName, typeAndMode: number, device: DeviceNumber): number {
  return systemCall("mknodat", directory, name, typeAndMode, encodeDevice(device));
}

/** The number as system calls take it: include/linux/kdev_t.h, new_encode_dev. */
function encodeDevice({ major, minor }: DeviceNumber): number {
  return (minor & 0xff) | (major << 8) | ((minor & 0xfff00) << 12);
}

/** Gives an open file, which may be a symlink opened with `O_PATH`, one more name (linkat(2)). */
export function linkDescriptor(descriptor: number, directory: number, name: FileName): number {
  return systemCall("linkat", descriptor, EMPTY, directory, name, AT.AT_EMPTY_PATH);
}

/** unlinkat(2) of anything but a directory; returns 0 or a negated errno. */
export function removeFile(directory: number, name: FileName): number {
  return systemCall("unlinkat", directory, name, 0);
}

/** Sets the owner of a name. @throws {SystemCallError} */
export function setOwner(directory: number, name: FileName, uid: number, gid: number): void {
  mustCall("fchownat", directory, name, uid, gid, AT.AT_SYMLINK_NOFOLLOW);
}

/** Sets the owner of an open file. @throws {SystemCallError} */
export function setDescriptorOwner(descriptor: number, uid: number, gid: number): void {
  mustCall("fchown", descriptor, uid, gid);
}

/** Sets permissions with the set-id and sticky bits. @throws {SystemCallError} */
export function setDescriptorMode(descriptor: number, mode: number): void {
  mustCall("fchmod", descriptor, mode);
}

/** Sets access and modification time of a name to one moment. @throws {SystemCallError} */
export function setTimes(directory: number, name: FileName, time: Timestamp): void {
  mustCall("utimensat", directory, name, timesOf(time), AT.AT_SYMLINK_NOFOLLOW);
}

/** Sets access and modification time of an open file to one moment. @throws {SystemCallError} */
export function setDescriptorTimes(descriptor: number, time: Timestamp): void {
  mustCall("utimensat", descriptor, 0, timesOf(time), 0);
}

/** Two `struct timespec`, reused: no call lasts longer than itself, and every thread has its own module. */
const times = new BigInt64Array(4);
const timesBytes = new Uint8Array(times.buffer);

function timesOf({ seconds, nanoseconds }: Timestamp): Uint8Array {
  times[0] = times[2] = BigInt(seconds);
  times[1] = times[3] = BigInt(nanoseconds);
  return timesBytes;
}

/** `struct statx`, reused as `times` is, and where its inode number is. */
const status = new Uint8Array(256);
const inode = new BigUint64Array(status.buffer, 32, 1);
const STATX_INO = 0x100;

/** The inode number of what a path leads to (statx(2)). @throws {SystemCallError} */
export function inodeOf(path: FileName): bigint {
  mustCall("statx", AT.AT_FDCWD, path, 0, STATX_INO, status);
  return inode[0] ?? 0n;
}

/** fsetxattr(2); returns 0 or a negated errno. */
export function setDescriptorXattr(descriptor: number, name: FileName, value: Uint8Array): number {
  // An empty buffer may have no address.
  return systemCall("fsetxattr", descriptor, name, value.byteLength === 0 ? EMPTY : value, value.byteLength, 0);
}

/** Writes everything of a descriptor's file system to its disk (syncfs(2)): thousands of files, one call. */
export function syncFileSystem(descriptor: number): void {
  mustCall("syncfs", descriptor);
}

/**
 * Gives the calling thread a file mode mask of its own, of 0: modes are then what they are said to be. The mask, the
 * root and the current directory of all other threads stay as they are (unshare(2) with CLONE_FS).
 */
export function clearUmaskOfThread(): void {
  mustCall("unshare", CLONE.CLONE_FS);
  mustCall("umask", 0);
}

const EMPTY = Buffer.from([0]);
