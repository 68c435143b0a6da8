import { traceStage } from "../../shared/trace.ts";
import type { OutputWatch } from "../container/output-watch.ts";
import { errorTable } from "../../shared/errors.ts";
import type { ContainerSpec, Interrupted, RunResult, SetupFailure } from "../container/spec.ts";
import type { StoredImage } from "../images/store.ts";
import {
  type ContainerReport,
  type ContainerRunner,
  failed,
  type FailedOutcome,
  type JobContext,
  type JobOutcome,
} from "./context.ts";
import { imageLabel } from "./image.ts";

/** What a container is counted as. */
export interface ContainerLabels extends Pick<ContainerReport, "stage" | "language"> {
  readonly image: Pick<StoredImage, "reference">;
}

/** How an attempt ends without a result. */
export type UnfinishedOutcome = Extract<JobOutcome, { kind: "failed" | "canceled" }>;

/** Runs one container of a job in a slot. @returns how the attempt ends, where the container has no result */
export async function runContainer(
  spec: ContainerSpec,
  { stage, language, image }: ContainerLabels,
  slot: Pick<ContainerRunner, "run">,
  context: Pick<JobContext, "onContainerStart" | "onContainerEnd" | "pull">,
  signal: AbortSignal,
  watch?: OutputWatch,
): Promise<RunResult | UnfinishedOutcome> {
  using _running = context.onContainerStart();
  traceStage("planned");
  const result = await slot.run(spec, signal, watch);
  traceStage("run");
  switch (result.kind) {
    case "ended":
      context.onContainerEnd({ stage, language, image: imageLabel(image.reference, context.pull), result });
      return result;
    case "failed":
      return setupFailed(result, spec, stage);
    case "interrupted":
      return failed(
        "container_lost",
        `${errorTable.container_lost.message}: ${interruptions[result.reason]}`,
        "worthwhile",
      );
    case "canceled":
      return result;
    default:
      return result satisfies never;
  }
}

const interruptions: Readonly<Record<Interrupted["reason"], string>> = {
  "init killed": "its first process was killed",
  "no memory": "the worker's machine, or its cgroup, had no memory left",
};

/** That a file cannot be put where the request wants it is no fault of ours, and another attempt would end like it. */
function setupFailed(failure: SetupFailure, spec: ContainerSpec, stage: ContainerReport["stage"]): FailedOutcome {
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
