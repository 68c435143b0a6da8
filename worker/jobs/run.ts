/** Jobs of kind `run`: one command in one container, after a build in another one where the language compiles. */
import type { JobError } from "../../shared/job.ts";
import type { JobRequest } from "../../shared/job-request.ts";
import type { JobResult } from "../../shared/job-result.ts";
import type { Limits } from "../../shared/limits.ts";
import type { Preset, Presets } from "../../shared/presets.ts";
import type { Volumes } from "../../shared/volumes.ts";
import type { OutputWatch } from "../container/output-watch.ts";
import type { ContainerResult, ContainerSpec, OutputSpool, RunResult, SetupFailure } from "../container/spec.ts";
import { InputLayerError, type InputLayers } from "../images/inputs/input-layers.ts";
import type { StoredImage } from "../images/store.ts";
import { composeRun, type RunPlan } from "./compose.ts";
import { type AcquiredImage, acquireImage, type ImageFailure, imageLabel, type ImageSources } from "./image.ts";
import { leaseInputs } from "./inputs.ts";
import { type KeepContext, keepWritten, type WrittenLayers } from "./keep.ts";
import type { Progress } from "./progress.ts";
import { UnusableImageError, userOf } from "./process-settings.ts";
import { UnusableVolumeError } from "./volumes.ts";
import {
  buildFailedResult,
  type Circumstances,
  hasSucceeded,
  jobResult,
  type ReturnedFile,
  returnedFiles,
} from "./result.ts";

/** Where containers run: a slot of the worker. */
export interface ContainerRunner extends WrittenLayers {
  run(spec: ContainerSpec, signal: AbortSignal, watch?: OutputWatch): Promise<ContainerResult>;
  release(name: string): Promise<void>;
}

/** Which attempt it is that a job is done in. */
export interface AttemptFacts {
  /** Id of the job. */
  readonly job: string;
  /** Milliseconds between the request and the start of this attempt. */
  readonly queuedMs: number;
  /** For large files that the job returns; whoever makes the attempt removes it. */
  readonly outputSpool: OutputSpool;
  readonly progress: Progress;
}

/** One container that ended, for the worker's metrics. */
export interface ContainerReport {
  readonly stage: "build" | "run";
  /** Name of a preset, or nothing. */
  readonly language: string | undefined;
  /** As {@link imageLabel} says. */
  readonly image: string;
  readonly result: RunResult;
}

/** What a worker does jobs with. */
export interface JobContext extends ImageSources, KeepContext {
  /** Layers that jobs bring. */
  readonly inputs: InputLayers;
  readonly presets: Presets;
  /** What jobs may mount. */
  readonly volumes: Volumes;
  /** The largest limits that this server grants. */
  readonly maxima: Limits;
  /** Called when a container is about to be made; what it returns is disposed of when nothing is left of it. */
  readonly onContainerStart: () => Disposable;
  readonly onContainerEnd: (report: ContainerReport) => void;
}

/** What became of one attempt at a job. */
export type JobOutcome =
  | { readonly kind: "done"; readonly result: JobResult; readonly outputs: readonly ReturnedFile[] }
  /** `retry`: whether another attempt may fare better. */
  | { readonly kind: "failed"; readonly error: JobError; readonly retry: "worthwhile" | "pointless" }
  | { readonly kind: "canceled" };

type FailedOutcome = Extract<JobOutcome, { kind: "failed" }>;

/** Carries out a request in a slot. Does not throw for what a program, an image or the host does. */
export async function performRun(
  request: JobRequest,
  { job, queuedMs, outputSpool, progress }: AttemptFacts,
  slot: ContainerRunner,
  context: JobContext,
  signal: AbortSignal,
): Promise<JobOutcome> {
  // Until nothing of the image and the job's layers is mounted any more, they are not removed.
  await using leases = new AsyncDisposableStack();
  const preset = findPreset(request, context);
  if (preset !== undefined && "kind" in preset) return preset;
  let acquired: AcquiredImage | ImageFailure;
  try {
    acquired = await acquireImage(request, preset, context, signal);
  } catch (error) {
    if (signal.aborted) return { kind: "canceled" };
    throw error;
  }
  if (acquired.kind === "failed") return failed(acquired.code, acquired.message, acquired.retry);
  const { image } = leases.use(acquired.lease);
  const circumstances = { queuedMs, pullMs: acquired.pullMs, image: image.digest, worker: context.worker };
  let plan: RunPlan;
  try {
    const { volumes } = context;
    const user = userOf(image);
    const { paths: inputs } = leases.use(await leaseInputs(request, image, user, context.inputs, signal));
    plan = composeRun(request, { image, inputs, preset, volumes, user }, context.maxima);
  } catch (error) {
    if (signal.aborted) return { kind: "canceled" };
    if (error instanceof InputLayerError) return failed(error.code, error.message, error.retry);
    // Another worker may have the volume.
    if (error instanceof UnusableVolumeError)
      return failed(error.code, error.message, error.code === "volume_unavailable" ? "worthwhile" : "pointless");
    if (!(error instanceof UnusableImageError)) throw error;
    return failed("image_unusable", `image ${image.reference} cannot be used: ${error.message}`, "pointless");
  }
  plan = { ...plan, run: { ...plan.run, outputSpool } };
  return await runPlan(request, plan, image, { job, output: progress.output, ...circumstances }, slot, context, signal);
}

/** @returns undefined for a request that names an image */
function findPreset({ language }: JobRequest, { presets }: JobContext): Preset | undefined | FailedOutcome {
  if (language === undefined) return undefined;
  const known = [...presets.keys()].join(", ");
  return (
    presets.get(language) ??
    failed("language_unavailable", `the worker has no preset of ${language}, only ${known}`, "pointless")
  );
}

async function runPlan(
  request: JobRequest,
  plan: RunPlan,
  image: StoredImage,
  { job, output, ...circumstances }: Circumstances & { readonly job: string; readonly output: OutputWatch },
  slot: ContainerRunner,
  context: JobContext,
  signal: AbortSignal,
): Promise<JobOutcome> {
  const run = async (stage: ContainerReport["stage"], spec: ContainerSpec): Promise<RunResult | JobOutcome> => {
    using _running = context.onContainerStart();
    const result = await slot.run(spec, signal, stage === "run" ? output : undefined);
    switch (result.kind) {
      case "ended":
        context.onContainerEnd({
          stage,
          language: request.language,
          image: imageLabel(image.reference, context.pull),
          result,
        });
        return result;
      case "failed":
        return setupFailed(result, spec, stage);
      case "canceled":
        return result;
      default:
        return result satisfies never;
    }
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

/** That a file cannot be put where the request wants it is no fault of ours, and another attempt would end like it. */
function setupFailed(failure: SetupFailure, spec: ContainerSpec, stage: ContainerReport["stage"]): JobOutcome {
  const { purpose, step, call, errno } = failure;
  const { workingDirectory, volumes = [], limits } = spec;
  if (purpose === "mount points" || purpose === "volumes") {
    const places = volumes.map(({ at }) => at).join(", ");
    const message = `the volumes at ${places} cannot be mounted: ${obstacles.get(errno) ?? `${call}: ${errno}`}`;
    return purpose === "volumes"
      ? failed("volume_unavailable", message, "worthwhile")
      : failed("unusable_path", message, "pointless");
  }
  const obstacle = purpose === "files" ? obstacles.get(errno) : undefined;
  if (obstacle !== undefined) {
    const message = `the request's files cannot be put into ${workingDirectory} of this image: ${obstacle}`;
    return failed("unusable_path", message, "pointless");
  }
  if (purpose === "files" && errno === "ENOSPC") {
    const disk = `a disk of ${limits.diskBytes} bytes, with room for a file or directory in every 4096 of them`;
    // The limits of a build are its preset's.
    const wayOut = stage === "build" ? "send less" : "send less, or raise limits.diskBytes";
    return failed("files_too_large", `the request's files do not fit into ${disk}: ${wayOut}`, "pointless");
  }
  const where = step < 0 ? purpose : `${purpose}, step ${step}`;
  return failed("setup_failed", `the container could not be set up: ${where}: ${call}: ${errno}`, "worthwhile");
}

/** What can be in the way of a path, by the error of openat2(2) and mkdirat(2). */
const obstacles: ReadonlyMap<string, string> = new Map([
  ["ENOTDIR", "what has to be a directory is none"],
  ["EISDIR", "what has to be a file is a directory"],
  ["ENXIO", "what has to be a file is a fifo or a socket"],
  ["ELOOP", "symbolic links lead in a circle"],
  ["ENOENT", "a directory is missing, or a symbolic link leads to nothing"],
  ["ENAMETOOLONG", "a path gets too long"],
]);

function failed(code: JobError["code"], message: string, retry: "worthwhile" | "pointless"): FailedOutcome {
  return { kind: "failed", error: { code, message }, retry };
}
