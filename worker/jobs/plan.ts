import type { RunRequest } from "../../shared/job-request.ts";
import type { Preset } from "../../shared/presets.ts";
import { InputLayerError } from "../images/inputs/input-layers.ts";
import type { StoredImage } from "../images/store.ts";
import { composeRun, type RunPlan } from "./compose.ts";
import type { UnfinishedOutcome } from "./container.ts";
import { failed, type FailedOutcome, type JobContext } from "./context.ts";
import { type AcquiredImage, acquireImage, type ImageFailure } from "./image.ts";
import { leaseInputs } from "./inputs.ts";
import { UnusableImageError, userOf } from "./process-settings.ts";
import { UnusableVolumeError } from "./volumes.ts";

/** The containers of a run, and what they need. */
export interface PlannedRun {
  readonly kind: "planned";
  readonly plan: RunPlan;
  readonly image: StoredImage;
  /** Milliseconds that the pull of the image took; 0 when there was none. */
  readonly pullMs: number;
}

/**
 * Finds everything that a run needs on this worker.
 * @param leases get what has to stay until nothing of the image and the layers is mounted any more
 */
export async function planRun(
  request: RunRequest,
  context: JobContext,
  leases: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<PlannedRun | UnfinishedOutcome> {
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
  const { pullMs } = acquired;
  const { image } = leases.use(acquired.lease);
  try {
    const { volumes } = context;
    const user = userOf(image);
    const { paths: inputs } = leases.use(await leaseInputs(request, image, user, context.inputs, signal));
    const plan = composeRun(request, { image, inputs, preset, volumes, user }, context.maxima);
    return { kind: "planned", plan, image, pullMs };
  } catch (error) {
    if (signal.aborted) return { kind: "canceled" };
    if (error instanceof InputLayerError) return failed(error.code, error.message, error.retry);
    // Another worker may have the volume.
    if (error instanceof UnusableVolumeError)
      return failed(error.code, error.message, error.code === "volume_unavailable" ? "worthwhile" : "pointless");
    if (!(error instanceof UnusableImageError)) throw error;
    return failed("image_unusable", `image ${image.reference} cannot be used: ${error.message}`, "pointless");
  }
}

/** @returns undefined for a request that names an image */
function findPreset({ language }: RunRequest, { presets }: JobContext): Preset | undefined | FailedOutcome {
  if (language === undefined) return undefined;
  const known = [...presets.keys()].join(", ");
  return (
    presets.get(language) ??
    failed("language_unavailable", `the worker has no preset of ${language}, only ${known}`, "pointless")
  );
}
