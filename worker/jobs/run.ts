/** Jobs of kind `run`: one command in one container, after a build in another one where the language compiles. */
import type { RunRequest } from "../../shared/job-request.ts";
import type { OutputWatch } from "../container/output-watch.ts";
import type { ContainerSpec, RunResult } from "../container/spec.ts";
import type { StoredImage } from "../images/store.ts";
import type { RunPlan } from "./compose.ts";
import { runContainer, type UnfinishedOutcome } from "./container.ts";
import type { AttemptFacts, ContainerRunner, JobContext, JobOutcome } from "./context.ts";
import { keepWritten } from "./keep.ts";
import { planRun } from "./plan.ts";
import { inSlot } from "./slot.ts";
import { buildFailedResult, type Circumstances, hasSucceeded, jobResult, returnedFiles } from "./result.ts";

/**
 * Carries out a request. Its image is pulled and its layers are fetched before it has a slot: those who have all they need
 * run meanwhile. Does not throw for what a program, an image or the host does.
 */
export async function performRun(
  request: RunRequest,
  { job, queuedMs, outputSpool, progress, onPullBegin }: AttemptFacts,
  context: JobContext,
  signal: AbortSignal,
): Promise<JobOutcome> {
  // Until nothing of the image and the job's layers is mounted any more, they are not removed.
  await using leases = new AsyncDisposableStack();
  const planned = await planRun(request, { ...context, onPullBegin }, leases, signal);
  if (planned.kind !== "planned") return planned;
  const { image, pullMs } = planned;
  const circumstances = { queuedMs, pullMs, image: image.digest, worker: context.worker };
  const plan = { ...planned.plan, run: { ...planned.plan.run, outputSpool } };
  const facts = { job, output: progress.output, ...circumstances };
  return await inSlot(context, signal, (slot) => runPlan(request, plan, image, facts, slot, context, signal));
}

async function runPlan(
  request: RunRequest,
  plan: RunPlan,
  image: StoredImage,
  { job, output, ...circumstances }: Circumstances & { readonly job: string; readonly output: OutputWatch },
  slot: ContainerRunner,
  context: JobContext,
  signal: AbortSignal,
): Promise<JobOutcome> {
  const run = async (stage: "build" | "run", spec: ContainerSpec): Promise<RunResult | UnfinishedOutcome> => {
    const labels = { stage, language: request.language, image };
    return await runContainer(spec, labels, slot, context, signal, stage === "run" ? output : undefined);
  };

  let build: RunResult | undefined;
  await using resources = new AsyncDisposableStack();
  if (plan.build !== undefined) {
    const { keepLayerAs } = plan.build;
    resources.defer(() => slot.release(keepLayerAs));
    const result = await run("build", plan.build);
    if (result.kind !== "ended") return result;
    if (!hasSucceeded(result)) return { kind: "done", result: buildFailedResult(result, circumstances), outputs: [] };
    build = result;
  }
  const { keepLayerAs } = plan.run;
  if (keepLayerAs !== undefined) resources.defer(() => slot.release(keepLayerAs));
  const result = await run("run", plan.run);
  if (result.kind !== "ended") return result;
  const outcome = jobResult(result, build, circumstances);
  const outputs = returnedFiles(result);
  if (keepLayerAs === undefined) return { kind: "done", result: outcome, outputs };
  try {
    const keptLayer = await keepWritten(job, plan, image, slot, context, signal);
    return { kind: "done", result: { ...outcome, keptLayer }, outputs };
  } catch (error) {
    if (signal.aborted) return { kind: "canceled" };
    throw error;
  }
}
