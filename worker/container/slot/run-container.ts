/**
 * One container, from a spec to a result, in straight-line synchronous code.
 *
 *   cgroup ─▶ plan ─▶ slot's own steps ─▶ launcher ──▶ supervise ──▶ collect ──▶ result, then tidy
 *                                            └▶ init ─▶ payload
 *
 * The launcher ends as soon as it has made init, which is then a child of the worker: the slot waits for init only.
 * When init is dead, every process of the container is (pid_namespaces(7)), so what is read afterwards stands still.
 */
import { errnoName, SystemCallError } from "../../linux/errno.ts";
import type { Cgroup } from "../../cgroup/cgroup.ts";
import { SlotSteps, type StepFailure } from "../interpret.ts";
import { type Plan, planContainer } from "../plan/plan.ts";
import type { ContainerResult, ContainerSpec, RunResult, SetupFailure } from "../spec.ts";
import { collectOutputs, type OutputTree } from "./collect.ts";
import type { SlotContext } from "./context.ts";
import { commandFailure, decideOutcome, describeEnding, findInterruption, isFull, readEnding } from "./ending.ts";
import { execute, type Execution, type MainThread } from "./execute.ts";
import type { RunRequest } from "./run-request.ts";
import { traceExecution, tracePhase } from "./trace.ts";
import { fillVolumes, makeMountPoints } from "./prepare-volumes.ts";
import { accountFor, monotonicMs, readTimes } from "./usage.ts";

/**
 * Runs one container to its end. What is left of it (mounts, cgroup) the context takes away when it tidies up.
 *
 * @param name unique among the worker's containers; names the cgroup
 */
export function runContainer(
  context: SlotContext,
  spec: ContainerSpec,
  name: string,
  mainThread: MainThread,
): ContainerResult {
  const { cancellation } = mainThread;
  const beganMs = monotonicMs();
  try {
    const resources = context.begin();
    const cgroup = resources.use(context.cgroups.create(name, spec.limits));
    tracePhase("cgroup");
    const plan = planContainer(spec, { ...context.facts(spec.layers), cgroup: cgroup.entry }, context.host);
    tracePhase("plan");
    const slotSteps = resources.use(new SlotSteps());
    const failure = slotSteps.execute(plan.steps);
    if (failure !== undefined) return setupFailure(plan, failure);
    tracePhase("slot steps");
    const { idBase } = context;
    const obstacle =
      attempt("mount points", () => makeMountPoints(spec, plan, slotSteps, idBase)) ??
      attempt("volumes", () => fillVolumes(plan, slotSteps, idBase, () => cancellation.isRequested()));
    if (obstacle !== undefined) return obstacle;

    const execution = execute(context, spec, plan, slotSteps, cgroup, mainThread);
    if (execution.kind === "not launched") return setupFailure(plan, execution);
    if (execution.endedBy === "canceled") return { kind: "canceled" };
    const broken = execution.inspection.failure;
    if (broken !== undefined && commandFailure(broken, spec) === undefined) return setupFailure(plan, broken);
    const interruption = findInterruption(execution.endedBy, cgroup, plan, execution.inspection);
    if (interruption !== undefined) return interruption;
    tracePhase("reap");
    traceExecution(plan, execution.inspection);

    const result = report(spec, plan, slotSteps, idBase, cgroup, execution, cancellation, beganMs);
    tracePhase("collect");
    // Files may be missing from it: where it is canceled for a worker that stops, another one does the job as a whole.
    if (cancellation.isRequested()) return { kind: "canceled" };
    if (spec.keepLayerAs !== undefined) context.keep(spec.keepLayerAs, plan.mounts, slotSteps);
    return result;
  } catch (error) {
    return failureOf("slot", error);
  }
}

/** Does work around the plan. @returns how it failed, if it did */
function attempt(purpose: string, work: () => void): SetupFailure | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    return failureOf(purpose, error);
  }
}

/** @throws {Error} what is no failure of a system call */
function failureOf(purpose: string, error: unknown): SetupFailure {
  if (error instanceof SystemCallError) {
    return { kind: "failed", purpose, step: -1, call: error.call, errno: error.errno };
  }
  // Of node:fs.
  if (error instanceof Error && "syscall" in error && "code" in error) {
    return { kind: "failed", purpose, step: -1, call: String(error.syscall), errno: String(error.code) };
  }
  throw error;
}

function setupFailure(plan: Plan, failure: StepFailure): SetupFailure {
  const { step, errno } = failure;
  return {
    kind: "failed",
    purpose: step.purpose,
    step: plan.steps.indexOf(step),
    call: step.call,
    errno: errnoName(errno),
  };
}

function report(
  spec: ContainerSpec,
  plan: Plan,
  slotSteps: SlotSteps,
  idBase: number,
  cgroup: Cgroup,
  execution: Execution,
  cancellation: RunRequest,
  beganMs: number,
): RunResult {
  const { inspection, endedBy, stdout, stderr } = execution;
  if (endedBy === "canceled" || endedBy === "no memory") throw new RangeError(`a container has no result: ${endedBy}`);
  const endMs = monotonicMs();
  const used = cgroup.usage();
  tracePhase("usage");
  const times = readTimes(plan, inspection, endMs);
  const usage = accountFor(plan, inspection, times, used, execution.maxRssBytes);
  const failure = inspection.failure && commandFailure(inspection.failure, spec);
  const command = failure?.ending ?? readEnding(plan, inspection);
  const outcome = decideOutcome({
    endedBy,
    command,
    cpuTimeExceeded: usage.cpuTimeMs > spec.limits.cpuTimeMs,
    oomKills: used.oomKills,
    processLimitHits: used.processLimitHits,
    diskFull: [plan.mounts.scratch, ...plan.temporary.map(({ mount }) => mount)].some((step) =>
      isFull(slotSteps.descriptor({ kind: "result", step })),
    ),
  });
  const isCanceled = (): boolean => cancellation.isRequested();
  const tree = outputTree(spec, plan, slotSteps, idBase);
  const outputs = collectOutputs(tree, spec.outputs, isCanceled, spec.outputSpool);
  return {
    kind: "ended",
    outcome,
    ...describeEnding(command),
    stdout,
    stderr: failure === undefined ? stderr : { ...stderr, content: Buffer.concat([stderr.content, failure.message]) },
    outputs,
    usage,
    endedAtMs: execution.killedAtMs ?? times.endedMs,
    timings: {
      prepareMs: times.startedMs - beganMs,
      runMs: usage.wallTimeMs,
      collectMs: monotonicMs() - times.endedMs,
    },
  };
}

/** Where the slot finds the working directory: as it was made, or on a root that nobody could change. */
function outputTree(spec: ContainerSpec, plan: Plan, slotSteps: SlotSteps, idBase: number): OutputTree {
  const { workingDirectory, mounts } = plan;
  const { uid, gid, groups = [] } = spec.user;
  const rights = { uid: idBase + uid, gid: idBase + gid, groups: groups.map((group) => idBase + group) };
  const root = slotSteps.descriptor({ kind: "result", step: mounts.root });
  if (workingDirectory !== undefined) return { base: slotSteps.descriptor(workingDirectory), path: "", root, rights };
  return { base: root, path: spec.workingDirectory, root, rights };
}
