import { CLONE, O, POLL, PR, SIGNAL } from "../../linux/constants.ts";
import { flags, mode, NULL, resultOf, string, words } from "./arguments.ts";
import { HERE } from "./mounting.ts";
import type { SandboxFacts, SlotFacts } from "./facts.ts";
import { type Step, writeSteps } from "./step.ts";

/** What `hostname` says in every container. */
export const HOST_NAME = "longshore";

/** Size of `struct clone_args` up to and with `cgroup` (Linux 5.7). */
const CLONE_ARGS_BYTES = 88;

const NEW_NAMESPACES = [
  "CLONE_NEWNS",
  "CLONE_NEWPID",
  "CLONE_NEWIPC",
  "CLONE_NEWUTS",
] as const satisfies readonly (keyof typeof CLONE)[];

/**
 * The launcher makes init and is done. The network namespace is one that the slot has made (network.ts).
 *
 * CLONE_PARENT makes init a child of the worker, which then waits for init alone. The namespaces belong to the host's
 * user namespace: whatever a process in the container's user namespace gains there gives it no power over them.
 *
 * @returns the step whose result is init's process id
 */
export function enterNamespaces(steps: Step[], slot: SandboxFacts): Step {
  const lifetime = writeSteps(steps, "launcher", "lifetime");
  lifetime("prctl", flags(PR, "PR_SET_PDEATHSIG"), flags(SIGNAL, "SIGKILL"));
  // What the container sees of it as process 1.
  lifetime("prctl", flags(PR, "PR_SET_NAME"), string("init"));
  // Modes in the plan are meant as they are written.
  lifetime("umask", mode(0));

  const step = writeSteps(steps, "launcher", "namespaces");
  const names = ["CLONE_PARENT", ...NEW_NAMESPACES] as (keyof typeof CLONE)[];
  const cgroup = "directory" in slot.cgroup ? openCgroup(steps, slot.cgroup.directory) : undefined;
  if (cgroup !== undefined) names.push("CLONE_INTO_CGROUP");
  const value = names.reduce((sum, name) => sum | BigInt(CLONE[name]), 0n);
  const text = `{flags=${names.join("|")}${cgroup === undefined ? "" : ", cgroup"}}`;
  // flags, pidfd, child_tid, parent_tid, exit_signal (its parent's, with CLONE_PARENT), stack, stack_size, tls,
  // set_tid, set_tid_size, cgroup
  const args = words(text, value, 0, 0, 0, 0, 0, 0, 0, 0, 0, cgroup === undefined ? 0 : resultOf(cgroup));
  return step.controlled({ kind: "fork" }, "clone3", args, CLONE_ARGS_BYTES);
}

function openCgroup(steps: Step[], directory: string): Step {
  const step = writeSteps(steps, "slot", "cgroup");
  return step("openat", HERE, string(directory), flags(O, "O_PATH", "O_DIRECTORY", "O_CLOEXEC"));
}

/** A fixed host name, so that nothing tells one worker from another. */
export function nameHost(steps: Step[]): void {
  const step = writeSteps(steps, "init", "host name");
  step("sethostname", string(HOST_NAME), HOST_NAME.length);
}

/** init dies with the thread that made it; one that is dead already has left nobody who could tell init to go on. */
export function armDeathSignal(steps: Step[]): void {
  writeSteps(steps, "init", "lifetime")("prctl", flags(PR, "PR_SET_PDEATHSIG"), flags(SIGNAL, "SIGKILL"));
}

/**
 * From here on init dies with the worker, whoever it is. The kernel forgets the death signal when credentials change, so
 * this comes after the last change; a worker that died before is found out by its pidfd, which is then readable.
 */
export function dieWithWorker(steps: Step[], slot: SlotFacts): void {
  armDeathSignal(steps);
  const step = writeSteps(steps, "init", "lifetime");
  const poll = words("[{fd=worker, events=POLLIN}]", { low: slot.worker, high: POLL.POLLIN }); // struct pollfd
  step.controlled({ kind: "must return", value: 0 }, "ppoll", poll, 1, words("{0, 0}", 0, 0), NULL, 0);
}

/** The launcher has nothing to wait for: init is not its child. */
export function leaveLauncher(steps: Step[]): void {
  writeSteps(steps, "launcher", "lifetime")("exit_group", 0);
}
