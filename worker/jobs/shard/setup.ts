/**
 * The set-up of a job of kind `shard`: run once, wherever the job is divided, and a layer from then on.
 *
 *   here before ─────────────────────────────────────┐
 *   another worker has shared it ─▶ blob ─▶ unpacked ─┼─▶ layer of this worker ─▶ blob, for all others
 *   run in a container ─▶ what it wrote ─────────────┘
 */
import type { BuildResult } from "../../../shared/job-result.ts";
import type { SetupResult, SharedLayer } from "../../../shared/shard-part.ts";
import type { ShardRequest } from "../../../shared/shard-request.ts";
import type { OutputWatch } from "../../container/output-watch.ts";
import type { RunResult } from "../../container/spec.ts";
import {
  type BuildLease,
  type PackedBuild,
  UnusableBuildError,
  type WrittenBuild,
} from "../../images/builds/build-layers.ts";
import { packBuild } from "../../images/builds/packed-build.ts";
import { type Digest, digestOf } from "../../images/digest.ts";
import type { UnfinishedOutcome } from "../container.ts";
import { type ContainerRunner, failed, type JobContext } from "../context.ts";
import { containerResult, hasSucceeded } from "../result.ts";
import type { ShardContainers } from "./containers.ts";
import { runWatched } from "./run-watched.ts";
import { shortened } from "./shortened.ts";

/** Name under which a slot has what the set-up wrote. */
const LAYER = "setup";

/** What is kept of each stream, in bytes: as much as those are shown who watch it. */
const streams = { keptBytes: 1024 * 1024 };

/** How the set-up ended. */
export type Setup =
  | { readonly kind: "set up"; readonly path: string; readonly layer: SharedLayer; readonly result: SetupResult }
  | { readonly kind: "not set up"; readonly message: string; readonly result: SetupResult }
  | UnfinishedOutcome;

/**
 * Sets up, or finds what doing so has made before.
 * @param leases get the layer
 * @param output is shown what it prints
 */
export async function setUp(
  request: ShardRequest & { readonly setup: readonly string[] },
  containers: ShardContainers,
  slot: ContainerRunner,
  context: JobContext,
  leases: AsyncDisposableStack,
  signal: AbortSignal,
  output: OutputWatch,
): Promise<Setup> {
  const key = keyOf(request, containers);
  const shared = await findShared(key, context);
  const attempted: { result?: RunResult; ending?: UnfinishedOutcome } = {};
  await using resources = new AsyncDisposableStack();
  const run = async (): Promise<WrittenBuild | PackedBuild | undefined> => {
    if (shared !== undefined) {
      const packed = await openShared(shared, context);
      if (packed !== undefined) return packed;
    }
    resources.defer(() => slot.release(LAYER));
    const [first = "", ...rest] = request.setup;
    const spec = { ...containers.spec, command: [first, ...rest], keepLayerAs: LAYER, streams } as const;
    const labels = { stage: "build", language: undefined, image: containers.image } as const;
    const ended = await runWatched(spec, labels, slot, context, signal, output);
    if (ended.kind !== "ended") {
      attempted.ending = ended;
      return undefined;
    }
    const result = shortened(ended);
    attempted.result = result;
    if (!hasSucceeded(result)) return undefined;
    return {
      ...(await slot.keptLayer(LAYER)),
      bytesMax: spec.limits.diskBytes,
      runtimeDirectories: [spec.workingDirectory],
      note: JSON.stringify(containerResult(result)),
    };
  };
  let lease: BuildLease | undefined;
  let message = "the set-up has failed: see setup";
  try {
    lease = await context.builds.lease(key, run, signal);
  } catch (error) {
    if (signal.aborted) return { kind: "canceled" };
    if (!(error instanceof UnusableBuildError)) throw error;
    message = `what the set-up wrote cannot be kept: ${error.message}`;
  }
  if (attempted.ending !== undefined) return attempted.ending;
  if (lease === undefined) {
    if (attempted.result === undefined) throw new Error("a set-up ended without a result");
    return { kind: "not set up", message, result: { ...containerResult(attempted.result), cached: false } };
  }
  leases.use(lease);
  // Its blob was gone after all, where it had to be run.
  const isShared = shared !== undefined && attempted.result === undefined;
  const layer = isShared ? shared : await share(key, lease, context);
  const result = JSON.parse(lease.note) as BuildResult;
  return { kind: "set up", path: lease.path, layer, result: { ...result, cached: attempted.result === undefined } };
}

/** Gets the layer of a set-up for a part of the job, on whichever worker that is. @param leases get it */
export async function leaseSetup(
  layer: SharedLayer,
  context: JobContext,
  leases: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<{ readonly kind: "leased"; readonly path: string } | UnfinishedOutcome> {
  try {
    const lease = await context.builds.lease(layer.key, () => openShared(layer, context), signal);
    if (lease === undefined) {
      return failed("blob_unavailable", `blob ${layer.blob}, the layer of the job's set-up, is gone`, "worthwhile");
    }
    return { kind: "leased", path: leases.use(lease).path };
  } catch (error) {
    if (signal.aborted) return { kind: "canceled" };
    throw error;
  }
}

/** A layer that others have shared, and that is held on from now. */
async function findShared(key: Digest, { shards, blobs }: JobContext): Promise<SharedLayer | undefined> {
  const layer = await shards.sharedLayer(key);
  if (layer === undefined) return undefined;
  const [isHeld] = await blobs.touch([layer.blob], shards.layerHolder(key));
  return isHeld === true ? layer : undefined;
}

async function openShared(layer: SharedLayer, { blobs }: JobContext): Promise<PackedBuild | undefined> {
  const content = await blobs.open(layer.blob);
  if (content === undefined) return undefined;
  return { archive: { digest: layer.blob, bytes: layer.bytes, content }, note: layer.note };
}

async function share(key: Digest, lease: BuildLease, { shards, blobs }: JobContext): Promise<SharedLayer> {
  const { digest } = await blobs.put(packBuild(lease.path), shards.layerHolder(key));
  const layer = { key, blob: digest, bytes: lease.bytes, note: lease.note };
  await shards.share(layer);
  return layer;
}

/**
 * Digest of everything that the result of a set-up depends on, whoever posts it. Of its limits those that it could run into and
 * still succeed: what was set up within less would be handed to whoever asks for the same with more.
 */
function keyOf(request: ShardRequest, { spec, image }: ShardContainers): Digest {
  const { environment, workingDirectory, user, files, limits } = spec;
  const { memoryBytes, diskBytes, fileBytes, processes, openFiles, stackBytes } = limits;
  const described = {
    image: image.digest,
    layers: request.layers,
    command: request.setup,
    environment,
    workingDirectory,
    user,
    contents: files.map(({ path, content, executable }) => [path, digestOf(content), executable]),
    limits: { memoryBytes, diskBytes, fileBytes, processes, openFiles, stackBytes },
  };
  return digestOf(JSON.stringify(described));
}
