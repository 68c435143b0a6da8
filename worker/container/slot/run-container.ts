/**
 * One container, from a spec to a result, in straight-line synchronous code.
 *
 *   prepare (prepared-container.ts) ─▶ limits, files ─▶ release ──▶ supervise ──▶ collect ──▶ result, then tidy
 *              └▶ launcher ─▶ init ─────── waits ─────────┴▶ payload
 *
 * The launcher ends as soon as it has made init, which is then a child of the worker: the slot waits for init only.
 * When init is dead, every process of the container is (pid_namespaces(7)), so what is read afterwards stands still.
 */
import type { CgroupUsage } from "../../cgroup/cgroup.ts";
import type { SlotSteps } from "../interpret.ts";
import { joinPlans, type Plan, planRelease } from "../plan/plan.ts";
import type { Step } from "../plan/step.ts";
import type { ContainerResult, ContainerSpec, RunResult } from "../spec.ts";
import { collectOutputs, type OutputTree } from "./collect.ts";
import type { SlotContext } from "./context.ts";
import { commandFailure, decideOutcome, describeEnding, findInterruption, isFull, readEnding } from "./ending.ts";
import { execute, type Execution, type MainThread } from "./execute.ts";
import { PreparedContainer } from "./prepared-container.ts";
import { failureOf, setupFailure } from "./setup-failure.ts";
import { traceExecution, tracePhase } from "./trace.ts";
import { accountFor, monotonicMs, readTimes } from "./usage.ts";

/**
 * Runs one container to its end. What is left of it (mounts, cgroup) the context takes away when it tidies up.
 */
export function runContainer(context: SlotContext, spec: ContainerSpec, mainThread: MainThread): ContainerResult {
  const { cancellation } = mainThread;
  const beganMs = monotonicMs();
  try {
    const resources = context.begin();
    const prepared = context.prepare(spec, () => cancellation.isRequested());
    if (!(prepared instanceof PreparedContainer)) return prepared;
    resources.use(prepared);
    const { preparation, slotSteps, cgroup } = prepared;
    cgroup.limit(spec.limits);
    tracePhase("limits");
    const release = planRelease(spec, context, preparation, context.commands.get(spec));
    const failure = slotSteps.execute(release.steps);
    if (failure !== undefined) return setupFailure(joinPlans(preparation, release).steps, failure);
    tracePhase("files");

    const execution = execute(spec, prepared, release, mainThread, context.host);
    if (execution.kind === "not launched") return setupFailure(joinPlans(preparation, release).steps, execution);
    const { plan, inspection } = execution;
    if (execution.endedBy === "canceled") return { kind: "canceled" };
    const broken = inspection.failure;
    if (broken !== undefined && commandFailure(broken, spec) === undefined) return setupFailure(plan.steps, broken);
    tracePhase("reap");
    traceExecution(plan, inspection);
    const endMs = monotonicMs();
    const used = cgroup.usage();
    const interruption = findInterruption(execution, used, cgroup);
    if (interruption !== undefined) return interruption;
    tracePhase("usage");

    const start = prepared.preparedMs < beganMs ? "warm" : "cold";
    const run: FinishedRun = { execution, used, beganMs, endMs, start };
    const result = report(spec, slotSteps, context.idBase, run, () => cancellation.isRequested());
    tracePhase("collect");
    // Files may be missing from it: where it is canceled for a worker that stops, another one does the job as a whole.
    if (cancellation.isRequested()) return { kind: "canceled" };
    if (spec.keepLayerAs !== undefined) context.keep(spec.keepLayerAs, plan.mounts, slotSteps);
    return result;
  } catch (error) {
    return failureOf("slot", error);
  }
}

/** A run whose container is over. */
interface FinishedRun {
  readonly execution: Execution;
  readonly used: CgroupUsage;
  /** When the run began, and when its end was known, on the clock of `monotonicMs`. */
  readonly beganMs: number;
  readonly endMs: number;
  readonly start: RunResult["start"];
}

function report(
  spec: ContainerSpec,
  slotSteps: SlotSteps,
  idBase: number,
  { execution, used, beganMs, endMs, start }: FinishedRun,
  isCanceled: () => boolean,
): RunResult {
  const { plan, inspection, endedBy, stdout, stderr } = execution;
  if (endedBy === "canceled" || endedBy === "no memory") throw new RangeError(`a container has no result: ${endedBy}`);
  const times = readTimes(plan, inspection, endMs);
  const usage = accountFor(plan, inspection, times, used, execution.maxRssBytes);
  const failure = inspection.failure && commandFailure(inspection.failure, spec);
  const command = failure?.ending ?? readEnding(plan, inspection);
  const isMountFull = (step: Step): boolean => isFull(slotSteps.descriptor({ kind: "result", step }));
  const outcome = decideOutcome({
    endedBy,
    command,
    cpuTimeExceeded: usage.cpuTimeMs > spec.limits.cpuTimeMs,
    oomKills: used.oomKills,
    processLimitHits: used.processLimitHits,
    isDiskFull: () => isMountFull(plan.mounts.scratch) || plan.temporary.some(({ mount }) => isMountFull(mount)),
  });
  const tree = outputTree(spec, plan, slotSteps, idBase);
  const outputs = collectOutputs(tree, spec.outputs, isCanceled, { spool: spec.outputSpool });
  const reports = spec.reports && collectOutputs(tree, spec.reports.patterns, isCanceled, spec.reports);
  return {
    kind: "ended",
    outcome,
    ...describeEnding(command),
    stdout,
    stderr: failure === undefined ? stderr : { ...stderr, content: Buffer.concat([stderr.content, failure.message]) },
    outputs,
    ...(reports === undefined ? {} : { reports }),
    usage,
    start,
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
