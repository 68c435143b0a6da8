import { resultOf } from "./arguments.ts";
import type { ContainerSpec } from "../spec.ts";
import { attach, mountTmpfs } from "./mounting.ts";
import { type DescriptorArgument, type Step, writeSteps } from "./step.ts";
import type { UnionMount } from "./union-mount.ts";

/** Permissions of a directory for everyone's temporary files. */
const STICKY = 0o1777;

/**
 * /dev/shm, and under a read-only root /tmp and /work. All of it is memory: bounded by its size, charged to the
 * container's cgroup, gone with the container.
 */
export function mountTemporary(steps: Step[], root: DescriptorArgument, spec: ContainerSpec, mounts: UnionMount): void {
  const step = writeSteps(steps, "init", "temporary file systems");
  const temporary = (path: string): void => {
    attach(step, resultOf(mountTmpfs(step, { sizeBytes: spec.limits.diskBytes, mode: STICKY })), root, path);
  };
  temporary("dev/shm");
  if (spec.rootfs === "readonly") {
    temporary("tmp");
    attach(step, resultOf(mounts.scratch), root, "work");
  }
}
