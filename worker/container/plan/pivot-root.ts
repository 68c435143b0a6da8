import { MNT } from "../../linux/constants.ts";
import { flags, resultOf, string } from "./arguments.ts";
import type { SlotFacts } from "./facts.ts";
import { moveToPath } from "./mounting.ts";
import { type DescriptorArgument, type Step, writeSteps } from "./step.ts";
import type { UnionMount } from "./union-mount.ts";

/**
 * Attaches the container's root in init's mount namespace, still beside the host's; and what the slot keeps open for
 * itself, which goes with the host's root then. A mount that was never attached has the slot wait for a grace period of
 * the kernel's (RCU) when it is closed, each by itself; one that init has detached, together with all others, does not.
 */
export function attachRoot(steps: Step[], slot: SlotFacts, { shown, loose }: UnionMount): void {
  const step = writeSteps(steps, "init", "pivot_root");
  moveToPath(step, resultOf(shown), `${slot.staging}/root`);
  for (const mount of loose) moveToPath(step, resultOf(mount), `${slot.staging}/scratch`);
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
