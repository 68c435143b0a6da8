import { CLONE, RLIMIT, SIGNAL } from "../../linux/constants.ts";
import type { ContainerLimits, ContainerSpec } from "../spec.ts";
import { bytes, flags, mode, NULL, string, words } from "./arguments.ts";
import { type Capability, keepCapabilities } from "./credentials.ts";
import { type Argument, type Step, type StepWriter, writeSteps } from "./step.ts";

/** Where commands are looked up when the environment has no PATH: as execvp(3) and Debian's login do. */
const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** clone(2) takes the signal of the child's end among its flags. */
const CLONE_FLAGS = { ...CLONE, ...SIGNAL };

/**
 * init makes the payload; returns the step whose result is its process id inside the container.
 *
 * As posix_spawn(3) does it: the payload has init's memory until it executes its command, and not a copy that its execve
 * would only throw away. Until then init sleeps, and can be killed. Ids, limits, directory and session are the payload's own
 * from the start. That init cannot be dumped, so that nobody inside may look into it, is a property of this memory, and has
 * been one since init took the ids that it has: those that the payload takes take nothing from it.
 */
export function forkPayload(steps: Step[]): Step {
  const step = writeSteps(steps, "init", "exec");
  const sharing = flags(CLONE_FLAGS, "CLONE_VM", "CLONE_VFORK", "SIGCHLD");
  // clone and not clone3, which the filter refuses: its flags lie in memory, where no filter can read them.
  return step.controlled({ kind: "fork" }, "clone", sharing, NULL, NULL, NULL, 0);
}

/** File mode creation mask of the program, as a login gives it. */
const UMASK = 0o022;

/** The limits that are a single process'. */
export type ProcessLimits = Pick<ContainerLimits, "openFiles" | "stackBytes" | "fileBytes">;

/** Resource limits of a single process; those of the container as a whole are its cgroup's. */
export function limitResources(steps: Step[], limits: ProcessLimits): void {
  const step = writeSteps(steps, "payload", "limits");
  limit(step, "RLIMIT_NOFILE", limits.openFiles);
  limit(step, "RLIMIT_STACK", limits.stackBytes);
  limit(step, "RLIMIT_FSIZE", limits.fileBytes);
}

/**
 * init and all that comes of it leave no core dump. Not by a limit of 0: where dumps are piped to a program, the kernel
 * minds 1 only, and makes none (core(5)). Before there is a filter, under which this limit stays as it is.
 */
export function forbidCoreDumps(steps: Step[]): void {
  limit(writeSteps(steps, "init", "limits"), "RLIMIT_CORE", 1);
}

function limit(step: StepWriter, resource: keyof typeof RLIMIT, value: number): void {
  const text = `{rlim_cur=${value}, rlim_max=${value}}`;
  step("prlimit64", 0, flags(RLIMIT, resource), words(text, value, value), NULL);
}

/** The payload becomes the run's user and leads a session without a terminal. Only root keeps capabilities, if any. */
export function becomeUser(steps: Step[], user: ContainerSpec["user"], capabilities: readonly Capability[]): void {
  const step = writeSteps(steps, "payload", "user ids");
  const groups = Uint32Array.from(user.groups ?? []);
  if (groups.length > 0)
    step("setgroups", groups.length, bytes(`[${groups.join(", ")}]`, new Uint8Array(groups.buffer)));
  step("setresgid", user.gid, user.gid, user.gid);
  step("setresuid", user.uid, user.uid, user.uid);
  keepCapabilities(writeSteps(steps, "payload", "capabilities"), user.uid === 0 ? capabilities : []);
  step("setsid");
}

/** The payload becomes the command. A failure in here is the command's (not found, not executable), not ours. */
export function executeCommand(
  steps: Step[],
  spec: Pick<ContainerSpec, "command" | "environment" | "workingDirectory">,
): void {
  const step = writeSteps(steps, "payload", "exec");
  const vector: Argument = { kind: "strings", list: spec.command };
  const environment: Argument = {
    kind: "strings",
    list: Object.entries(spec.environment).map(([name, value]) => `${name}=${value}`),
  };
  step("umask", mode(UMASK));
  step("chdir", string(spec.workingDirectory));
  const candidates = commandPaths(spec.command[0], spec.environment["PATH"] ?? DEFAULT_PATH);
  const last = candidates.pop() ?? spec.command[0];
  for (const path of candidates) step.mayFail("execve", string(path), vector, environment);
  step("execve", string(last), vector, environment);
}

/** The paths at which a command may be found, in order; execve itself is the test. */
function commandPaths(name: string, path: string): string[] {
  if (name.includes("/")) return [name];
  // An empty entry is the current directory (POSIX, 8.3).
  return path.split(":").map((directory) => (directory === "" ? `./${name}` : `${directory}/${name}`));
}
