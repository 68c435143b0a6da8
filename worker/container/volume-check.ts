import { closeSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { AT, MOUNT_ATTR, O, OPEN_TREE } from "../linux/constants.ts";
import { errnoName } from "../linux/errno.ts";
import { cString, systemCall } from "../linux/libc.ts";
import { openWithoutSymlinks } from "../linux/open.ts";
import { isMountedNosuid } from "../linux/statistics.ts";

/** Size of `struct mount_attr` (Linux 5.12). */
const MOUNT_ATTR_BYTES = 32;

/**
 * What keeps a directory of the host from being a volume, in the words of a way out; undefined if nothing does.
 * @param userNamespace a descriptor of one with ids like those of slots
 */
export function describeVolumeFault(
  { path, mode }: { readonly path: string; readonly mode: "ro" | "rw" },
  userNamespace: number,
): string | undefined {
  using descriptors = new DisposableStack();
  const directory = openWithoutSymlinks(path, O.O_PATH | O.O_DIRECTORY);
  if (directory < 0) return describeOpenFault(-directory);
  descriptors.adopt(directory, closeSync);

  const empty = cString("");
  const flags = OPEN_TREE.OPEN_TREE_CLONE | OPEN_TREE.OPEN_TREE_CLOEXEC | AT.AT_EMPTY_PATH;
  const tree = systemCall("open_tree", directory, empty, flags);
  if (tree < 0) return `it cannot be cloned: ${errnoName(-tree)}: run as root`;
  descriptors.adopt(tree, closeSync);
  const attributes = Buffer.alloc(MOUNT_ATTR_BYTES);
  attributes.writeBigUInt64LE(BigInt(MOUNT_ATTR.MOUNT_ATTR_IDMAP), 0); // attr_set
  attributes.writeBigUInt64LE(BigInt(userNamespace), 24); // userns_fd
  const set = systemCall("mount_setattr", tree, empty, AT.AT_EMPTY_PATH, attributes, MOUNT_ATTR_BYTES);
  if (set < 0) {
    const reason = `its file system cannot show files with other owners (mount_setattr: ${errnoName(-set)})`;
    return `${reason}: move it to ext4, xfs, btrfs or tmpfs`;
  }
  if (mode === "ro" || isMountedNosuid(directory) || isOutOfReach(path)) return undefined;
  return (
    "users of this machine can reach it, and could execute set-user-id programs that jobs leave there: put it below a " +
    "directory that only root can enter (chmod 700), or on a file system that is mounted nosuid"
  );
}

function describeOpenFault(errno: number): string {
  switch (errnoName(errno)) {
    case "ENOENT":
      return "it does not exist: make the directory";
    case "ENOTDIR":
      return "it is not a directory";
    case "ELOOP":
      return "a symlink is in its path: give the path that it leads to";
    default:
      return `it cannot be opened: ${errnoName(errno)}`;
  }
}

/** Nobody but root can enter one of the directories above, whatever is below that one. */
function isOutOfReach(path: string): boolean {
  for (let directory = dirname(path); directory !== "/"; directory = dirname(directory)) {
    const { uid, mode } = statSync(directory);
    if (uid === 0 && (mode & 0o011) === 0) return true;
  }
  return false;
}
