import { closeSync } from "node:fs";
import type { Volumes } from "../../shared/volumes.ts";
import { openUserNamespace } from "../container/slot/user-namespace.ts";
import { describeVolumeFault } from "../container/volume-check.ts";
import { type Finding, ok } from "./finding.ts";

/** Each of LONGSHORE_VOLUMES can be mounted by containers. */
export function checkVolumes(volumes: Volumes, idBase: number): Finding[] {
  return findVolumeFaults(volumes, idBase).map(({ volume, fault }) => {
    const name = `volume ${volume.name}`;
    if (fault === undefined) return ok(name, `${volume.path}, ${volume.mode}`);
    const effect = "no worker starts with it";
    return { name, status: "missing", detail: volume.path, effect, wayOut: fault };
  });
}

/**
 * Makes sure that a worker has all volumes that it is told to have.
 * @throws {Error} that names every one that it has not, and the way out
 */
export function insistOnVolumes(volumes: Volumes, idBase: number): void {
  const faults = findVolumeFaults(volumes, idBase).flatMap(({ volume: { name, path }, fault }) =>
    fault === undefined ? [] : [`LONGSHORE_VOLUMES: ${name} cannot be ${path}: ${fault}`],
  );
  if (faults.length > 0) throw new Error(faults.join("\n"));
}

function findVolumeFaults(volumes: Volumes, idBase: number) {
  if (volumes.size === 0) return [];
  using descriptors = new DisposableStack();
  const namespace = descriptors.adopt(openUserNamespace(idBase), closeSync);
  return [...volumes.values()].map((volume) => ({ volume, fault: describeVolumeFault(volume, namespace) }));
}
