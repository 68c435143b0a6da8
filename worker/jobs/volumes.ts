import type { RunRequest } from "../../shared/job-request.ts";
import { findPlaceFaults, type Volumes } from "../../shared/volumes.ts";
import type { ContainerSpec, VolumeMount } from "../container/spec.ts";

/** A volume cannot be mounted as a job wants it; the message says why. */
export class UnusableVolumeError extends Error {
  override readonly name = "UnusableVolumeError";
  readonly code: "volume_unavailable" | "unusable_path";

  constructor(code: UnusableVolumeError["code"], message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * What a job's volumes are on this worker. A volume that jobs may only read stays as it is, empty or not.
 * @throws {UnusableVolumeError} where the API that accepted the job has another configuration than this worker
 */
export function volumesOf({ volumes: requested }: RunRequest, volumes: Volumes): VolumeMount[] {
  return requested.map(({ name, at, mode }) => {
    const volume = volumes.get(name);
    const message =
      volume === undefined
        ? `this worker has no volume ${name}: set the same LONGSHORE_VOLUMES for APIs and workers`
        : `jobs may only read the volume ${name} on this worker: set the same LONGSHORE_VOLUMES for APIs and workers`;
    if (volume === undefined || (mode === "rw" && volume.mode === "ro"))
      throw new UnusableVolumeError("volume_unavailable", message);
    return { source: volume.path, at, mode, whenEmpty: volume.mode === "rw" ? "copy" : "leave" };
  });
}

/**
 * Makes sure that a container's volumes hide nothing that the job brings: the API has checked what it knew, which is
 * neither the image's working directory nor a preset's files.
 * @throws {UnusableVolumeError}
 */
export function insistOnVolumePlaces({ volumes = [], workingDirectory, files, outputs }: ContainerSpec): void {
  const over = { workingDirectory, files: files.map(({ path }) => path), outputs };
  const [fault] = findPlaceFaults(volumes, over);
  if (fault === undefined) return;
  throw new UnusableVolumeError("unusable_path", `the volume at ${volumes[fault.index]?.at} ${fault.message}`);
}
