import { MNT } from "../../linux/constants.ts";
import { flags, string } from "./arguments.ts";
import type { SlotFacts } from "./facts.ts";
import { moveToPath } from "./mounting.ts";
import { type DescriptorArgument, type Step, writeSteps } from "./step.ts";

/** Attaches the container's root in init's mount namespace, still beside the host's. */
export function attachRoot(steps: Step[], slot: SlotFacts, root: DescriptorArgument): void {
  const step = writeSteps(steps, "init", "pivot_root");
  moveToPath(step, root, `${slot.staging}/root`);
}

/**
 * Makes the container's root the root, and lets go of the host's. `pivot_root(".", ".")` stacks the old root on the new
 * one, so that no directory for it is needed (pivot_root(2), notes).
 */
export function pivotRoot(steps: Step[], root: DescriptorArgument): void {
  const step = writeSteps(steps, "init", "pivot_root");
  step("fchdir", root);
  step("pivot_root", string("."), string("."));
  step("umount2", string("."), flags(MNT, "MNT_DETACH"));
  step("chdir", string("/"));
}
