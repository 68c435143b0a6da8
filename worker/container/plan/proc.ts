import { FSCONFIG, FSMOUNT, FSOPEN, MOUNT_ATTR, MOVE_MOUNT, O, OPEN_TREE } from "../../linux/constants.ts";
import { flags, NULL, resultOf, string } from "./arguments.ts";
import type { HostFacts, SandboxFacts, SlotFacts } from "./facts.ts";
import { HERE, moveTo, moveToPath, within } from "./mounting.ts";
import { type DescriptorArgument, type Step, writeSteps } from "./step.ts";

/**
 * /proc of the container's own process namespace. Read-only as a whole, which covers /proc/sys, /proc/irq, /proc/bus,
 * /proc/fs and /proc/sysrq-trigger with one flag; what tells about the host is hidden behind an empty file or
 * directory, as runc and Docker do (OCI `maskedPaths`).
 *
 * Nothing of that depends on the container's root: it is made beside that one, and before there is one.
 */
export function mountProc(steps: Step[], slot: SandboxFacts, host: HostFacts): void {
  const step = writeSteps(steps, "init", "proc");
  const proc = step("fsopen", string("proc"), flags(FSOPEN, "FSOPEN_CLOEXEC"));
  step("fsconfig", resultOf(proc), flags(FSCONFIG, "FSCONFIG_CMD_CREATE"), NULL, NULL, 0);
  const attributes = flags(
    MOUNT_ATTR,
    "MOUNT_ATTR_RDONLY",
    "MOUNT_ATTR_NOSUID",
    "MOUNT_ATTR_NODEV",
    "MOUNT_ATTR_NOEXEC",
  );
  const mount = resultOf(step("fsmount", resultOf(proc), flags(FSMOUNT, "FSMOUNT_CLOEXEC"), attributes));
  moveToPath(step, mount, procPath(slot));

  const mask = (name: string, source: string): void => {
    const clone = step("open_tree", HERE, string(source), flags(OPEN_TREE, "OPEN_TREE_CLONE", "OPEN_TREE_CLOEXEC"));
    const target = step("openat", mount, string(name), flags(O, "O_PATH", "O_NOFOLLOW", "O_CLOEXEC"));
    moveTo(step, resultOf(clone), resultOf(target));
  };
  for (const name of host.maskedFiles) mask(name, `${slot.staging}/nothing`);
  for (const name of host.maskedDirectories) mask(name, `${slot.staging}/empty`);
}

/** init moves it into the container's root. */
export function attachProc(steps: Step[], root: DescriptorArgument, slot: SlotFacts): void {
  const step = writeSteps(steps, "init", "proc");
  const mountPoint = step("openat2", root, string("proc"), ...within(["O_PATH", "O_CLOEXEC"]));
  const flag = flags(MOVE_MOUNT, "MOVE_MOUNT_T_EMPTY_PATH");
  step("move_mount", HERE, string(procPath(slot)), resultOf(mountPoint), string(""), flag);
}

function procPath({ staging }: Pick<SlotFacts, "staging">): string {
  return `${staging}/proc`;
}
