import { constants } from "node:os";
import { SystemCallError } from "./errno.ts";
import { addressOf, cString, systemCall } from "./libc.ts";

/** XATTR_SIZE_MAX of linux/limits.h is 65536; the attributes read here are a few bytes. */
const MAXIMUM = 4096;

/**
 * Reads an extended attribute without following a symbolic link in the last component (lgetxattr(2)).
 * @returns undefined when the file has no such attribute, or its file system has none at all
 * @throws {SystemCallError}
 */
export function readXattr(path: string, name: string): Buffer | undefined {
  const [pathBytes, nameBytes, value] = [cString(path), cString(name), Buffer.alloc(MAXIMUM)];
  const length = systemCall("lgetxattr", addressOf(pathBytes), addressOf(nameBytes), addressOf(value), value.length);
  if (length >= 0) return value.subarray(0, length);
  if (-length === constants.errno.ENODATA || -length === constants.errno.EOPNOTSUPP) return undefined;
  throw new SystemCallError("lgetxattr", -length);
}
