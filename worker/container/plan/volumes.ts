import { AT, MOUNT_ATTR } from "../../linux/constants.ts";
import type { VolumeMount } from "../spec.ts";
import { flags, resultOf, string, words } from "./arguments.ts";
import type { SlotFacts } from "./facts.ts";
import { cloneTree, HERE, moveTo, within, withoutSymlinks } from "./mounting.ts";
import type { ContainerShape } from "./shape.ts";
import { type Argument, type DescriptorArgument, type Step, writeSteps } from "./step.ts";

/** A directory of the host on its way into a container. */
export interface Volume extends VolumeMount {
  /** The step whose result is the directory, as the host sees it. */
  readonly directory: Step;
  /** The step whose result is the detached mount, as the container will see it. */
  readonly tree: Step;
}

/**
 * Clones the volumes' directories as mounts with the ids of the slot: what inside is user n's is user n's on the disk.
 * What is mounted below them on the host is not part of it.
 *
 * Programs may be executed from a volume: where tools or builds are kept between jobs, that is what it is for, and it
 * gives nothing that a program could not write into its own root and execute there.
 */
export function openVolumes(steps: Step[], { volumes = [] }: ContainerShape, slot: SlotFacts): Volume[] {
  const step = writeSteps(steps, "slot", "volumes");
  return volumes.map((volume) => {
    const open = withoutSymlinks(["O_PATH", "O_DIRECTORY", "O_CLOEXEC"]);
    const directory = step("openat2", HERE, string(volume.source), ...open);
    const tree = cloneTree(step, resultOf(directory));
    const change = attributesOf(volume, slot);
    step("mount_setattr", resultOf(tree), string(""), flags(AT, "AT_EMPTY_PATH"), change, 32);
    return { ...volume, directory, tree };
  });
}

/** struct mount_attr: attr_set, attr_clr, propagation, userns_fd. */
function attributesOf({ mode }: VolumeMount, slot: SlotFacts): Argument {
  const names: (keyof typeof MOUNT_ATTR)[] = ["MOUNT_ATTR_IDMAP", "MOUNT_ATTR_NOSUID", "MOUNT_ATTR_NODEV"];
  if (mode === "ro") names.push("MOUNT_ATTR_RDONLY");
  const set = names.reduce((sum, name) => sum | MOUNT_ATTR[name], 0);
  return words(`{attr_set=${names.join("|")}, attr_clr=0, userns_fd}`, set, 0, 0, slot.userNamespace);
}

/** init attaches them, over whatever of the root is there; a symlink in it leads to no place outside of it. */
export function attachVolumes(steps: Step[], root: DescriptorArgument, volumes: readonly Volume[]): void {
  const step = writeSteps(steps, "init", "mount points");
  for (const { tree, at } of volumes) {
    const mountPoint = step("openat2", root, string(at.slice(1)), ...within(["O_PATH", "O_DIRECTORY", "O_CLOEXEC"]));
    moveTo(step, resultOf(tree), resultOf(mountPoint));
  }
}
