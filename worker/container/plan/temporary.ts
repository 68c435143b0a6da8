import { resultOf } from "./arguments.ts";
import { attach, mountTmpfs } from "./mounting.ts";
import type { ContainerShape } from "./shape.ts";
import { type DescriptorArgument, type Step, writeSteps } from "./step.ts";
import type { UnionMount } from "./union-mount.ts";

/** Permissions of a directory for everyone's temporary files. */
const STICKY = 0o1777;

/** A tmpfs of the container's, and where it goes. */
export interface TemporaryMount {
  /** The step whose result is the detached mount. */
  readonly mount: Step;
  /** Below the container's root. */
  readonly path: string;
}

/**
 * /dev/shm, and under a read-only root /tmp and /work. All of it is memory: bounded by its size, charged to the
 * container's cgroup, gone with the container. The slot makes them, so that it can tell afterwards whether one is full.
 */
export function makeTemporary(steps: Step[], shape: ContainerShape, union: UnionMount): TemporaryMount[] {
  const step = writeSteps(steps, "slot", "temporary file systems");
  const make = (path: string): TemporaryMount => ({
    mount: mountTmpfs(step, { sizeBytes: shape.limits.diskBytes, mode: STICKY }),
    path,
  });
  const shared = make("dev/shm");
  return union.work === undefined ? [shared] : [shared, make("tmp"), { mount: union.work, path: "work" }];
}

/** init attaches them. */
export function attachTemporary(steps: Step[], root: DescriptorArgument, temporary: readonly TemporaryMount[]): void {
  const step = writeSteps(steps, "init", "temporary file systems");
  for (const { mount, path } of temporary) attach(step, resultOf(mount), root, path);
}
