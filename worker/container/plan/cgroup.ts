import { CLOCK, CLONE, O } from "../../linux/constants.ts";
import { flags, resultOf, room, string } from "./arguments.ts";
import type { SandboxFacts } from "./facts.ts";
import { HERE } from "./mounting.ts";
import { type Argument, type Step, writeSteps } from "./step.ts";

/**
 * init joins the container's cgroups (v1; on v2 it was born in its own), and only then makes them the root of its
 * cgroup namespace. It joins by itself, before anything of the container is set up, so that neither the launcher nor
 * the namespaces count against the limits.
 */
export function joinCgroup(steps: Step[], slot: SandboxFacts): void {
  const step = writeSteps(steps, "init", "cgroup");
  const processFiles = "processFiles" in slot.cgroup ? slot.cgroup.processFiles : [];
  for (const path of processFiles) {
    const file = step("openat", HERE, string(path), flags(O, "O_WRONLY", "O_CLOEXEC"));
    step("write", resultOf(file), string("0"), 1);
    step("close", resultOf(file));
  }
  step("unshare", flags(CLONE, "CLONE_NEWCGROUP"));
}

/** Bytes of a `struct timespec`. */
export const TIMESPEC_BYTES = 16;

/** init's CPU time when it joined the cgroup and when it was done preparing: the difference is not the program's. */
export interface PreparationRooms {
  readonly joined: Argument;
  readonly prepared: Argument;
  /** CLOCK_MONOTONIC when the program was about to start. */
  readonly started: Argument;
}

/** init looks at its clock, as its first step inside the cgroup. */
export function beginAccounting(steps: Step[]): Pick<PreparationRooms, "joined"> {
  const joined = room(TIMESPEC_BYTES, "joined");
  writeSteps(steps, "init", "accounting")("clock_gettime", flags(CLOCK, "CLOCK_PROCESS_CPUTIME_ID"), joined);
  return { joined };
}

/** init looks at the clocks, just before it forks the payload. */
export function endPreparation(steps: Step[]): Omit<PreparationRooms, "joined"> {
  const step = writeSteps(steps, "init", "accounting");
  const prepared = room(TIMESPEC_BYTES, "prepared");
  const started = room(TIMESPEC_BYTES, "started");
  step("clock_gettime", flags(CLOCK, "CLOCK_PROCESS_CPUTIME_ID"), prepared);
  step("clock_gettime", flags(CLOCK, "CLOCK_MONOTONIC"), started);
  return { prepared, started };
}
