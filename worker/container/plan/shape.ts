import type { ContainerLimits, ContainerSpec } from "../spec.ts";

/**
 * What of a spec a container is prepared from. Everything else is applied when it is released: command, environment,
 * files, streams, and the limits of its cgroup and processes.
 */
export interface ContainerShape extends Pick<
  ContainerSpec,
  "layers" | "rootfs" | "user" | "volumes" | "network" | "build" | "keepLayerAs"
> {
  readonly limits: Pick<ContainerLimits, "diskBytes">;
}

/**
 * What two shapes have in common that the same prepared containers fit; undefined for one that none is prepared for
 * ahead of its job: with a layer that an earlier run left, volumes, a network of others, or abilities of a build.
 */
export function shapeKey(shape: ContainerShape): string | undefined {
  const { layers, rootfs, user, volumes = [], network, build, keepLayerAs, limits } = shape;
  if (volumes.length > 0 || build !== undefined || keepLayerAs !== undefined) return undefined;
  if (network !== undefined && network.kind !== "none") return undefined;
  const paths = layers.flatMap((layer) => (layer.kind === "directory" ? [layer.path] : []));
  if (paths.length < layers.length) return undefined;
  // A writable root belongs to the container's root, whoever the program is.
  const owner = rootfs === "readonly" ? [user.uid, user.gid] : [];
  return JSON.stringify([rootfs, limits.diskBytes, owner, paths]);
}
