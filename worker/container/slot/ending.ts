import { fstatfs } from "../../linux/statistics.ts";
import { errnoName, signalName } from "../../linux/errno.ts";
import type { StepFailure } from "../interpret.ts";
import type { Plan } from "../plan/plan.ts";
import { SIGNAL } from "../../linux/constants.ts";
import type { Cgroup, CgroupUsage } from "../../cgroup/cgroup.ts";
import type { ContainerSpec, Interrupted, Outcome } from "../spec.ts";
import type { Execution } from "./execute.ts";
import type { Inspection } from "./launcher.ts";
import type { EndedBy } from "./supervise.ts";

/** How a command ended itself, from the status of wait(2). */
export type CommandEnding =
  { readonly kind: "exited"; readonly exitCode: number } | { readonly kind: "signaled"; readonly signal: number };

/** How the command ended, as init saw it; init itself killed with all the rest leaves no status but its own. */
export function readEnding(plan: Plan, inspection: Inspection): CommandEnding {
  return hasReaped(plan, inspection) ? readStatus(inspection.room(plan.rooms.status).getInt32(0, true)) : KILLED;
}

/** Whether init lived to see the command's end. */
function hasReaped(plan: Plan, inspection: Inspection): boolean {
  return inspection.room(plan.rooms.ended).getBigInt64(0, true) !== 0n;
}

/**
 * What ended a container from outside, if something did: init was killed and not by the slot, which nobody inside can do
 * (pid_namespaces(7)), or processes were killed for memory that is not the container's to use up.
 */
export function findInterruption(
  { endedBy, plan, inspection }: Pick<Execution, "endedBy" | "plan" | "inspection">,
  { oomKills }: CgroupUsage,
  cgroup: Cgroup,
): Interrupted | undefined {
  if (endedBy === "no memory") return { kind: "interrupted", reason: "no memory" };
  if (endedBy !== undefined) return undefined;
  if (oomKills > 0) {
    return cgroup.hasReachedMemoryLimit() ? undefined : { kind: "interrupted", reason: "no memory" };
  }
  return hasReaped(plan, inspection) || inspection.failure !== undefined
    ? undefined
    : { kind: "interrupted", reason: "init killed" };
}

const KILLED: CommandEnding = { kind: "signaled", signal: SIGNAL.SIGKILL };

/** Takes a status of wait(2) apart. */
export function readStatus(status: number): CommandEnding {
  const signal = status & 0x7f;
  return signal === 0 ? { kind: "exited", exitCode: (status >> 8) & 0xff } : { kind: "signaled", signal };
}

/**
 * What a failure of the payload means where it is the command's own: it is reported as a shell would, with exit code
 * 127 for what was not found and 126 for what could not be executed, and a line on stderr (POSIX, 2.8.2).
 * @returns undefined for a failure that is not the command's
 */
export function commandFailure(
  failure: StepFailure,
  spec: ContainerSpec,
): { readonly ending: CommandEnding; readonly message: Buffer } | undefined {
  const { step, errno } = failure;
  if (step.actor !== "payload" || step.purpose !== "exec") return undefined;
  const error = errnoName(errno);
  const exitCode = error === "ENOENT" || error === "ENOTDIR" ? 127 : 126;
  const what =
    step.call === "chdir"
      ? `cannot enter ${spec.workingDirectory}`
      : `cannot execute ${JSON.stringify(spec.command[0])}`;
  return { ending: { kind: "exited", exitCode }, message: Buffer.from(`longshore: ${what}: ${error}\n`) };
}

/** Everything that decides the outcome of a run. */
export interface Evidence {
  readonly endedBy: Exclude<EndedBy, "canceled" | "no memory">;
  readonly command: CommandEnding;
  readonly cpuTimeExceeded: boolean;
  readonly oomKills: number;
  readonly processLimitHits: number;
  /** Asked only where it decides. */
  readonly isDiskFull: () => boolean;
}

/**
 * The outcome of a run: what ended it, in the order of certainty. A program that ran into the limit of processes or
 * disk and coped (exit code 0) has not failed of it.
 */
export function decideOutcome(evidence: Evidence): Outcome {
  const { endedBy, command } = evidence;
  if (endedBy !== undefined) return endedBy;
  if (evidence.oomKills > 0) return "memory_limit";
  if (evidence.cpuTimeExceeded) return "cpu_limit";
  if (command.kind === "exited" && command.exitCode === 0) return "exited";
  if (evidence.processLimitHits > 0) return "process_limit";
  if (evidence.isDiskFull() || isFileTooLarge(command)) return "disk_limit";
  return command.kind;
}

function isFileTooLarge(command: CommandEnding): boolean {
  return command.kind === "signaled" && command.signal === SIGNAL.SIGXFSZ;
}

/** Exit code and signal as they are reported. */
export function describeEnding(command: CommandEnding): { exitCode: number | null; signal: string | null } {
  return command.kind === "exited"
    ? { exitCode: command.exitCode, signal: null }
    : { exitCode: null, signal: signalName(command.signal) };
}

/** A file system has no block or no inode left. */
export function isFull(descriptor: number): boolean {
  const { freeBlocks, freeInodes } = fstatfs(descriptor);
  return freeBlocks === 0 || freeInodes === 0;
}
