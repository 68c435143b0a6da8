import type { KeptLayer } from "../../shared/job-result.ts";
import type { ContainerSpec } from "../container/spec.ts";
import { keepLayers, type KeepPolicy, type WrittenLayer } from "../images/kept/keep-layers.ts";
import type { ImageStore, StoredImage } from "../images/store.ts";
import type { RunPlan } from "./compose.ts";

/** Where a slot has what a container wrote. */
export interface WrittenLayers {
  keptLayer(name: string): Promise<{ readonly path: string; readonly idBase: number }>;
}

/** What keeping layers takes. */
export interface KeepContext {
  readonly images: ImageStore;
  readonly keep: KeepPolicy;
  /** That a layer was not kept is no failure of its job: this is for the worker's log. */
  readonly onKeepFailure: (error: unknown) => void;
}

/**
 * Keeps what the containers of a plan wrote that are over. What jobs bring, files apart, is none of it: their layers and
 * volumes are not in the writable one.
 * @throws the reason of `signal`
 */
export async function keepWritten(
  job: string,
  { build, run }: RunPlan,
  image: StoredImage,
  slot: WrittenLayers,
  { images, keep, onKeepFailure }: KeepContext,
  signal: AbortSignal,
): Promise<KeptLayer> {
  try {
    const layers: WrittenLayer[] = [];
    for (const spec of [build, run]) {
      if (spec?.keepLayerAs !== undefined) layers.push(writtenLayer(spec, await slot.keptLayer(spec.keepLayerAs)));
    }
    const result = await keepLayers(images, { job, image: image.digest, layers }, keep, signal);
    if (result.kind === "refused") return { error: `what the job wrote cannot be kept: ${result.reason}` };
    return {
      layers: result.run.layers.flatMap(({ digest, bytes }) => (digest === null ? [] : [{ digest, bytes }])),
      expiresAt: result.run.expiresAt,
    };
  } catch (error) {
    signal.throwIfAborted();
    onKeepFailure(error);
    return { error: "the worker has failed to keep what the job wrote: its log says why" };
  }
}

function writtenLayer(spec: ContainerSpec, place: Pick<WrittenLayer, "path" | "idBase">): WrittenLayer {
  const { command, limits, workingDirectory, volumes = [] } = spec;
  const runtimeDirectories = [workingDirectory, ...volumes.map(({ at }) => at)];
  return { ...place, command, bytesMax: limits.diskBytes, runtimeDirectories };
}
