/** The programs of a judge: submission, checker and interactor, each compiled once for all cases. */
import type { RunRequest } from "../../../shared/job-request.ts";
import type { JudgeProgram } from "../../../shared/judge-request.ts";
import type { JudgeBuild } from "../../../shared/judge-result.ts";
import type { BuildResult } from "../../../shared/job-result.ts";
import type { ContainerSpec, RunResult } from "../../container/spec.ts";
import { type BuildLease, UnusableBuildError, type WrittenBuild } from "../../images/builds/build-layers.ts";
import { digestOf } from "../../images/digest.ts";
import type { StoredImage } from "../../images/store.ts";
import type { RunPlan } from "../compose.ts";
import { runContainer, type UnfinishedOutcome } from "../container.ts";
import type { ContainerRunner, JobContext } from "../context.ts";
import { planRun } from "../plan.ts";
import { containerResult, hasSucceeded } from "../result.ts";

/** A program that can be run in any slot. */
export interface ReadyProgram {
  readonly kind: "ready";
  readonly language: string;
  readonly image: StoredImage;
  /** Its run; stdin, streams and limits are for whoever runs it to change. */
  readonly spec: ContainerSpec;
  readonly build: JudgeBuild | null;
  readonly pullMs: number;
}

/** A program that could not be built. */
export interface UnbuiltProgram {
  readonly kind: "not built";
  readonly image: StoredImage;
  /** What is to be said of it, behind its name. */
  readonly message: string;
  readonly build: JudgeBuild;
  readonly pullMs: number;
}

/**
 * Makes a program ready to be run.
 * @param leases get what it needs to stay
 */
export async function prepareProgram(
  program: JudgeProgram,
  slot: ContainerRunner,
  context: JobContext,
  leases: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<ReadyProgram | UnbuiltProgram | UnfinishedOutcome> {
  const planned = await planRun(asRunRequest(program), context, leases, signal);
  if (planned.kind !== "planned") return planned;
  const { plan, image, pullMs } = planned;
  const { language } = program;
  const ready = { kind: "ready", language, image, pullMs } as const;
  if (plan.build === undefined) return { ...ready, spec: plan.run, build: null };

  const built = await build({ ...plan, build: plan.build }, { language, image }, slot, context, signal);
  switch (built.kind) {
    case "built": {
      const { lease, result, cached } = built;
      leases.use(lease);
      return { ...ready, spec: runOfBuilt(plan.run, lease.path), build: { ...result, cached } };
    }
    case "not built":
      return { kind: "not built", image, pullMs, message: built.message, build: { ...built.result, cached: false } };
    default:
      return built;
  }
}

/** The run of a program whose build is in a directory for all slots, in place of the slot that it ran in. */
export function runOfBuilt(run: ContainerSpec, path: string): ContainerSpec {
  const layers = run.layers.filter(({ kind }) => kind !== "kept");
  return { ...run, layers: [...layers, { kind: "directory", path }] };
}

type Build =
  | { readonly kind: "built"; readonly lease: BuildLease; readonly result: BuildResult; readonly cached: boolean }
  | { readonly kind: "not built"; readonly result: BuildResult; readonly message: string }
  | UnfinishedOutcome;

/** Finds what the build of a plan writes, or runs it in a slot. */
async function build(
  plan: RunPlan & { readonly build: NonNullable<RunPlan["build"]> },
  program: { readonly language: string; readonly image: StoredImage },
  slot: ContainerRunner,
  context: JobContext,
  signal: AbortSignal,
): Promise<Build> {
  const spec = plan.build;
  await using resources = new AsyncDisposableStack();
  const attempted: { result?: RunResult; ending?: UnfinishedOutcome } = {};
  const run = async (): Promise<WrittenBuild | undefined> => {
    resources.defer(() => slot.release(spec.keepLayerAs));
    const result = await runContainer(spec, { stage: "build", ...program }, slot, context, signal);
    if (result.kind !== "ended") {
      attempted.ending = result;
      return undefined;
    }
    attempted.result = result;
    if (!hasSucceeded(result)) return undefined;
    const note = JSON.stringify(containerResult(result));
    const runtimeDirectories = [spec.workingDirectory];
    return { ...(await slot.keptLayer(spec.keepLayerAs)), bytesMax: spec.limits.diskBytes, runtimeDirectories, note };
  };
  let lease: BuildLease | undefined;
  let reason = "cannot be built: see its build";
  try {
    lease = await context.builds.lease(describeBuild(spec, program.image), run, signal);
  } catch (error) {
    if (signal.aborted) return { kind: "canceled" };
    if (!(error instanceof UnusableBuildError)) throw error;
    reason = `cannot be run, as what its build wrote cannot be kept: ${error.message}`;
  }
  if (lease !== undefined) {
    const result = JSON.parse(lease.note) as BuildResult;
    return { kind: "built", lease, result, cached: lease.status === "found" };
  }
  if (attempted.ending !== undefined) return attempted.ending;
  if (attempted.result === undefined) throw new Error("a build ended without a result");
  return { kind: "not built", result: containerResult(attempted.result), message: reason };
}

/** Everything that the result of a build depends on; of its limits only what it can see. */
function describeBuild(spec: ContainerSpec, image: StoredImage): string {
  const { command, environment, workingDirectory, user, files, limits } = spec;
  const { memoryBytes, diskBytes } = limits;
  const contents = files.map(({ path, content, executable }) => [path, digestOf(content), executable]);
  const described = {
    image: image.digest,
    command,
    environment,
    workingDirectory,
    user,
    contents,
    memoryBytes,
    diskBytes,
  };
  return JSON.stringify(described);
}

/** A program of a judge as the run that it is, but for its input and its cases' limits. */
export function asRunRequest({ language, source, files, limits }: JudgeProgram): RunRequest {
  return {
    kind: "run",
    language,
    source,
    files,
    limits,
    layers: [],
    stdin: "",
    arguments: [],
    environment: {},
    outputs: [],
    rootfs: "writable",
    keepLayer: false,
    volumes: [],
    priority: "normal",
  };
}
