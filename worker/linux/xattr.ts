import { constants } from "node:os";
import { SystemCallError } from "./errno.ts";
import { cString, systemCall } from "./libc.ts";

/** XATTR_SIZE_MAX of linux/limits.h is 65536; the attributes read here are a few bytes. */
const MAXIMUM = 4096;

/**
 * Reads an extended attribute without following a symbolic link in the last component (lgetxattr(2)).
 * @param path as text, or in bytes where it may be no UTF-8
 * @returns undefined when the file has no such attribute, or its file system has none at all
 * @throws {SystemCallError}
 */
export function readXattr(path: string | Uint8Array, name: string): Buffer | undefined {
  const pathBytes = typeof path === "string" ? cString(path) : Buffer.from([...path, 0]);
  const [nameBytes, value] = [cString(name), Buffer.alloc(MAXIMUM)];
  const length = systemCall("lgetxattr", pathBytes, nameBytes, value, value.length);
  if (length >= 0) return value.subarray(0, length);
  if (-length === constants.errno.ENODATA || -length === constants.errno.EOPNOTSUPP) return undefined;
  throw new SystemCallError("lgetxattr", -length);
}
