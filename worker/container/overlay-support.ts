import { FSCONFIG, FSOPEN, O } from "../linux/constants.ts";
import { SlotSteps } from "./interpret.ts";
import { flags, mode, NULL, resultOf, string } from "./plan/arguments.ts";
import type { HostFacts } from "./plan/facts.ts";
import { mountTmpfs } from "./plan/mounting.ts";
import { type Step, writeSteps } from "./plan/step.ts";

const PROBE_BYTES = 64 * 1024;

/**
 * Finds out how this kernel takes an overlay's layers, by making one of two empty directories on a detached tmpfs.
 * Nothing of it is ever mounted anywhere.
 */
export function probeOverlay(): HostFacts["overlay"] {
  const steps: Step[] = [];
  const step = writeSteps(steps, "slot", "union mount");
  const scratch = mountTmpfs(step, { sizeBytes: PROBE_BYTES, mode: 0o755 });
  const directories = ["a", "b"].map((name) => {
    step("mkdirat", resultOf(scratch), string(name), mode(0o755));
    return step("openat", resultOf(scratch), string(name), flags(O, "O_PATH", "O_DIRECTORY", "O_CLOEXEC"));
  });
  const overlay = step("fsopen", string("overlay"), flags(FSOPEN, "FSOPEN_CLOEXEC"));
  for (const directory of directories) {
    const lower = string("lowerdir+");
    step("fsconfig", resultOf(overlay), flags(FSCONFIG, "FSCONFIG_SET_FD"), lower, NULL, resultOf(directory));
  }
  step("fsconfig", resultOf(overlay), flags(FSCONFIG, "FSCONFIG_CMD_CREATE"), NULL, NULL, 0);
  using slotSteps = new SlotSteps();
  return slotSteps.execute(steps) === undefined ? "descriptors" : "paths";
}
