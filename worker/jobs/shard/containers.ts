/** The containers of a job of kind `shard`: all of the same image and layers, each with a command of its own. */
import type { RunRequest } from "../../../shared/job-request.ts";
import type { ShardRequest } from "../../../shared/shard-request.ts";
import type { ContainerSpec } from "../../container/spec.ts";
import type { StoredImage } from "../../images/store.ts";
import type { UnfinishedOutcome } from "../container.ts";
import type { JobContext } from "../context.ts";
import { planRun } from "../plan.ts";

/** What a container of the job has, whatever it runs. */
export interface ShardContainers {
  readonly kind: "ready";
  readonly image: StoredImage;
  /** To be given a command. */
  readonly spec: ContainerSpec;
  readonly pullMs: number;
}

/**
 * Finds image and layers on this worker.
 * @param leases get what has to stay as long as a container may be made
 */
export async function prepareContainers(
  request: ShardRequest,
  context: JobContext,
  leases: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<ShardContainers | UnfinishedOutcome> {
  const planned = await planRun(asRunRequest(request), context, leases, signal);
  if (planned.kind !== "planned") return planned;
  const { plan, image, pullMs } = planned;
  return { kind: "ready", image, pullMs, spec: plan.run };
}

/** The run that a container of the job is, but for its command. */
export function asRunRequest(request: ShardRequest): RunRequest {
  const { image, command, layers, files, environment, workingDirectory, limits, priority } = request;
  return {
    kind: "run",
    image,
    command: [...command],
    layers,
    files,
    environment,
    workingDirectory,
    limits,
    priority,
    stdin: "",
    arguments: [],
    outputs: [],
    rootfs: "writable",
    keepLayer: false,
    volumes: [],
  };
}
