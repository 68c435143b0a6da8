import { closeSync, mkdirSync, readFileSync } from "node:fs";
import { AT, MOUNT_ATTR, OPEN_TREE } from "../linux/constants.ts";
import { errnoName } from "../linux/errno.ts";
import { cString, systemCall } from "../linux/libc.ts";
import { openUserNamespace } from "../container/slot/user-namespace.ts";
import { type Finding, missing, ok } from "./finding.ts";

const NAME = "idmapped mounts";

/** Size of `struct mount_attr` (Linux 5.12). */
const MOUNT_ATTR_BYTES = 32;

/**
 * The file system that holds the images can show them with other owners. Whether it can is the file system's to say
 * (ext4, xfs, btrfs: yes; nfs, and overlay as in a container's own root: no), so this tries it.
 */
export function checkIdmappedMounts(directory: string, idBase: number): Finding {
  using descriptors = new DisposableStack();
  let namespace: number;
  try {
    mkdirSync(directory, { recursive: true });
    namespace = descriptors.adopt(openUserNamespace(idBase), closeSync);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return missing(NAME, reason, "see the other findings: root, user namespaces, and a writable LONGSHORE_DATA");
  }
  const [path, empty] = [cString(directory), cString("")];
  const { OPEN_TREE_CLONE, OPEN_TREE_CLOEXEC } = OPEN_TREE;
  const tree = systemCall("open_tree", AT.AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (tree < 0) return missing(NAME, `${directory} cannot be cloned: ${errnoName(-tree)}`, "run as root");
  descriptors.adopt(tree, closeSync);

  const attributes = Buffer.alloc(MOUNT_ATTR_BYTES);
  attributes.writeBigUInt64LE(BigInt(MOUNT_ATTR.MOUNT_ATTR_IDMAP), 0); // attr_set
  attributes.writeBigUInt64LE(BigInt(namespace), 24); // userns_fd
  const set = systemCall("mount_setattr", tree, empty, AT.AT_EMPTY_PATH, attributes, MOUNT_ATTR_BYTES);
  const type = fileSystemOf(directory);
  if (set >= 0) return ok(NAME, `${directory} is on ${type}`);
  return missing(
    NAME,
    `${directory} is on ${type}, which refuses them: ${errnoName(-set)}`,
    "move LONGSHORE_DATA to ext4, xfs or btrfs, in a container to a volume",
  );
}

/** Type of the file system that a directory is on: that of the longest mount point above it. */
function fileSystemOf(directory: string): string {
  const mounts = readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" "))
    .filter(([, point = ""]) => point === "/" || directory === point || directory.startsWith(`${point}/`))
    .toSorted((a, b) => (b[1]?.length ?? 0) - (a[1]?.length ?? 0));
  return mounts[0]?.[2] ?? "an unknown file system";
}
