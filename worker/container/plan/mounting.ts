import { AT, FSCONFIG, FSMOUNT, FSOPEN, MOUNT_ATTR, MOVE_MOUNT, O, OPEN_TREE, RESOLVE } from "../../linux/constants.ts";
import { flags, NULL, resultOf, string, words } from "./arguments.ts";
import type { Argument, DescriptorArgument, Step, StepWriter } from "./step.ts";

/** Options of a tmpfs. */
export interface TmpfsOptions {
  readonly sizeBytes: number;
  /** Permissions of its root. */
  readonly mode: number;
  /** Owner of its root, as the host counts; the host's root when left out. */
  readonly uid?: number;
  readonly gid?: number;
}

/** One inode for every page, and a floor for file systems of a few pages: an empty file costs memory, too. */
const BYTES_PER_INODE = 4096;
const INODES_MIN = 256;

/** Makes a tmpfs; returns the step whose result is the detached mount. */
export function mountTmpfs(step: StepWriter, options: TmpfsOptions): Step {
  const tmpfs = step("fsopen", string("tmpfs"), flags(FSOPEN, "FSOPEN_CLOEXEC"));
  const set = (key: string, value: string): Step =>
    step("fsconfig", resultOf(tmpfs), flags(FSCONFIG, "FSCONFIG_SET_STRING"), string(key), string(value), 0);
  set("size", String(options.sizeBytes));
  set("nr_inodes", String(Math.max(INODES_MIN, Math.ceil(options.sizeBytes / BYTES_PER_INODE))));
  set("mode", options.mode.toString(8));
  if (options.uid !== undefined) set("uid", String(options.uid));
  if (options.gid !== undefined) set("gid", String(options.gid));
  step("fsconfig", resultOf(tmpfs), flags(FSCONFIG, "FSCONFIG_CMD_CREATE"), NULL, NULL, 0);
  return step(
    "fsmount",
    resultOf(tmpfs),
    flags(FSMOUNT, "FSMOUNT_CLOEXEC"),
    flags(MOUNT_ATTR, "MOUNT_ATTR_NODEV", "MOUNT_ATTR_NOSUID"),
  );
}

/** An open_how of openat2(2) whose walk never leaves the directory it starts in and follows no magic link. */
export function within(openFlags: readonly (keyof typeof O)[], fileMode = 0): readonly [Argument, Argument] {
  return openHow(openFlags, fileMode, ["RESOLVE_IN_ROOT", "RESOLVE_NO_MAGICLINKS"]);
}

/** An open_how of openat2(2) that fails where a symlink is in the path. */
export function withoutSymlinks(openFlags: readonly (keyof typeof O)[]): readonly [Argument, Argument] {
  return openHow(openFlags, 0, ["RESOLVE_NO_SYMLINKS"]);
}

function openHow(
  openFlags: readonly (keyof typeof O)[],
  fileMode: number,
  resolve: readonly (keyof typeof RESOLVE)[],
): readonly [Argument, Argument] {
  const value = openFlags.reduce((sum, name) => sum | O[name], 0);
  const text = `{flags=${openFlags.join("|")}, mode=0${fileMode.toString(8)}, resolve=${resolve.join("|")}}`;
  return [
    words(
      text,
      value,
      fileMode,
      resolve.reduce((sum, name) => sum | RESOLVE[name], 0),
    ),
    24,
  ];
}

/**
 * Attaches a detached mount to a directory inside the container's root. The mount point is opened within the root
 * first, so that a symlink in an image leads nowhere else.
 */
export function attach(step: StepWriter, mount: DescriptorArgument, root: DescriptorArgument, path: string): void {
  const mountPoint = step("openat2", root, string(path), ...within(["O_PATH", "O_CLOEXEC"]));
  moveTo(step, mount, resultOf(mountPoint));
}

/** Attaches a detached mount to a mount point that is open. */
export function moveTo(step: StepWriter, mount: DescriptorArgument, mountPoint: DescriptorArgument): void {
  step(
    "move_mount",
    mount,
    string(""),
    mountPoint,
    string(""),
    flags(MOVE_MOUNT, "MOVE_MOUNT_F_EMPTY_PATH", "MOVE_MOUNT_T_EMPTY_PATH"),
  );
}

const CLONE_OF_DESCRIPTOR: Argument = {
  kind: "constant",
  value: OPEN_TREE.OPEN_TREE_CLONE | OPEN_TREE.OPEN_TREE_CLOEXEC | AT.AT_EMPTY_PATH,
  text: "OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC|AT_EMPTY_PATH",
};

/** Clones the mount of a directory that is open; returns the step whose result is the clone, detached. */
export function cloneTree(step: StepWriter, directory: DescriptorArgument): Step {
  return step("open_tree", directory, string(""), CLONE_OF_DESCRIPTOR);
}

/** Clones the mount of a directory by its path on the host; returns the step whose result is the clone, detached. */
export function cloneDirectory(step: StepWriter, path: string): Step {
  return step("open_tree", HERE, string(path), flags(OPEN_TREE, "OPEN_TREE_CLONE", "OPEN_TREE_CLOEXEC"));
}

/** Attaches a detached mount at a path of the worker's own. */
export function moveToPath(step: StepWriter, mount: DescriptorArgument, path: string): void {
  step("move_mount", mount, string(""), HERE, string(path), flags(MOVE_MOUNT, "MOVE_MOUNT_F_EMPTY_PATH"));
}

/** The current directory, as the base of a path. */
export const HERE: Argument = flags(AT, "AT_FDCWD");
