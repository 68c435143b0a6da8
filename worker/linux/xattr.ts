/**
 * Extended attributes, of open files and of names, without following a symbolic link in the last component. Paths are
 * text, or bytes where they may be no UTF-8.
 */
import { constants } from "node:os";
import { SystemCallError } from "./errno.ts";
import { cString, systemCall } from "./libc.ts";

/** XATTR_SIZE_MAX and XATTR_LIST_MAX of linux/limits.h. */
const MAXIMUM = 65_536;

/** What nearly all attributes fit in: room for the largest is only made where it is needed. */
const USUAL = 4096;

type Path = string | Uint8Array;

/**
 * Reads an extended attribute (lgetxattr(2)).
 * @returns undefined when the file has no such attribute, or its file system has none at all
 * @throws {SystemCallError}
 */
export function readXattr(path: Path, name: string): Buffer | undefined {
  const [pathBytes, nameBytes] = [pathOf(path), cString(name)];
  return fill("lgetxattr", (room) => systemCall("lgetxattr", pathBytes, nameBytes, room, room.length));
}

/**
 * Names of a file's extended attributes (llistxattr(2)); none where its file system has none.
 * @throws {SystemCallError}
 */
export function listXattrs(path: Path): string[] {
  const pathBytes = pathOf(path);
  return namesIn(fill("llistxattr", (room) => systemCall("llistxattr", pathBytes, room, room.length)));
}

/**
 * Removes an extended attribute (lremovexattr(2)).
 * @param name as {@link listXattrs} says it
 * @throws {SystemCallError}
 */
export function removeXattr(path: Path, name: string): void {
  const result = systemCall("lremovexattr", pathOf(path), Buffer.from(`${name}\0`, "latin1"));
  if (result < 0) throw new SystemCallError("lremovexattr", -result);
}

/**
 * Sets an extended attribute (lsetxattr(2)).
 * @throws {SystemCallError} ENOTSUP where the file system has none of its kind
 */
export function writeXattr(path: Path, name: string, value: Uint8Array): void {
  // An empty buffer may have no address.
  const bytes = value.byteLength === 0 ? Buffer.alloc(1) : value;
  const result = systemCall("lsetxattr", pathOf(path), Buffer.from(`${name}\0`, "latin1"), bytes, value.byteLength, 0);
  if (result < 0) throw new SystemCallError("lsetxattr", -result);
}

/**
 * Extended attributes of an open file, of those that are wanted (flistxattr(2), fgetxattr(2)).
 * @throws {SystemCallError}
 */
export function readDescriptorXattrs(descriptor: number, isWanted: (name: string) => boolean): Map<string, Buffer> {
  const list = fill("flistxattr", (room) => systemCall("flistxattr", descriptor, room, room.length));
  const xattrs = new Map<string, Buffer>();
  for (const name of namesIn(list).filter(isWanted)) {
    const nameBytes = Buffer.from(`${name}\0`, "latin1");
    const value = fill("fgetxattr", (room) => systemCall("fgetxattr", descriptor, nameBytes, room, room.length));
    if (value !== undefined) xattrs.set(name, value);
  }
  return xattrs;
}

function namesIn(list: Buffer | undefined): string[] {
  return (list?.toString("latin1") ?? "").split("\0").filter((name) => name !== "");
}

function fill(call: string, read: (room: Buffer) => number): Buffer | undefined {
  let room = Buffer.alloc(USUAL);
  let length = read(room);
  if (-length === constants.errno.ERANGE) {
    room = Buffer.alloc(MAXIMUM);
    length = read(room);
  }
  if (length >= 0) return room.subarray(0, length);
  if (-length === constants.errno.ENODATA || -length === constants.errno.EOPNOTSUPP) return undefined;
  throw new SystemCallError(call, -length);
}

function pathOf(path: Path): Buffer {
  return typeof path === "string" ? cString(path) : Buffer.from([...path, 0]);
}
