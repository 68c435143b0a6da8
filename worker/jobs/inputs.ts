import { describeLayerPlaceFault } from "../../shared/job-request-rules.ts";
import type { RunRequest } from "../../shared/job-request.ts";
import { type InputLease, InputLayerError, type InputLayers } from "../images/inputs/input-layers.ts";
import type { StoredImage } from "../images/store.ts";
import type { User } from "../images/tree/users.ts";

/**
 * Gets the layers that a request brings. What may be at which path is checked again for where the image's symbolic
 * links lead to.
 * @throws {InputLayerError}, or the reason of `signal`
 */
export async function leaseInputs(
  request: RunRequest,
  image: StoredImage,
  { uid, gid }: User,
  inputs: InputLayers,
  signal: AbortSignal,
): Promise<InputLease> {
  return await inputs.lease(request.layers, image, { uid, gid }, signal, ({ blob, at }, path) => {
    const fault = describeLayerPlaceFault(path, request.rootfs);
    if (fault === undefined) return;
    const message = `blob ${blob} cannot be at ${at}, which is ${path} in this image: it ${fault}`;
    throw new InputLayerError("unusable_path", message, "pointless");
  });
}
