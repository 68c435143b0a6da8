/**
 * What has to be there before init attaches the volumes, and depends on what is there: their mount points, and the
 * contents that an empty volume starts with.
 */
import { closeSync } from "node:fs";
import { constants } from "node:os";
import { O } from "../../linux/constants.ts";
import { SystemCallError } from "../../linux/errno.ts";
import { makeDirectory, setDescriptorOwner } from "../../linux/files.ts";
import { cString } from "../../linux/libc.ts";
import { openBelow } from "../../linux/open.ts";
import type { SlotSteps } from "../interpret.ts";
import type { Preparation } from "../plan/plan.ts";
import type { ContainerShape } from "../plan/shape.ts";
import { fillVolume } from "./fill-volume.ts";

/**
 * Makes the mount points that are missing, where the slot can: in a writable root, else in the tmpfs that becomes /work.
 * @param idBase the host's id of the container's root
 * @throws {SystemCallError} where something in the image is in the way
 */
export function makeMountPoints(
  { rootfs }: ContainerShape,
  plan: Preparation,
  slotSteps: SlotSteps,
  idBase: number,
): void {
  for (const { at } of plan.volumes) {
    const path = at.split("/").slice(1);
    const isInScratch = rootfs === "readonly" && path[0] === "work";
    if (rootfs === "readonly" && !isInScratch) continue;
    const step = isInScratch ? plan.mounts.scratch : plan.mounts.root;
    makeDirectories(slotSteps.descriptor({ kind: "result", step }), isInScratch ? path.slice(1) : path, idBase);
  }
}

/**
 * Fills the volumes that are empty with what is at their mount points.
 * @param idBase the host's id of the container's root
 * @param isCanceled asked for every file: once it says so, the copying is given up
 * @throws {NodeJS.ErrnoException | SystemCallError}
 */
export function fillVolumes(plan: Preparation, slotSteps: SlotSteps, idBase: number, isCanceled: () => boolean): void {
  for (const { directory, at, whenEmpty } of plan.volumes) {
    if (whenEmpty === "leave") continue;
    const root = slotSteps.descriptor({ kind: "result", step: plan.mounts.root });
    const source = openBelow(root, at, O.O_RDONLY | O.O_DIRECTORY, "in root");
    if (source < 0) continue; // A read-only root's /work, which is empty.
    try {
      fillVolume(slotSteps.descriptor({ kind: "result", step: directory }), source, idBase, isCanceled);
    } finally {
      closeSync(source);
    }
  }
}

const { EEXIST } = constants.errno;

/** Makes the directories of a path that are missing, as the container's root; symlinks stay within `base`. */
function makeDirectories(base: number, path: readonly string[], owner: number): void {
  for (const [index, name] of path.entries()) {
    using descriptors = new DisposableStack();
    const open = (below: readonly string[]): number => {
      const descriptor = openBelow(base, below.join("/"), O.O_RDONLY | O.O_DIRECTORY, "in root");
      if (descriptor < 0) throw new SystemCallError("openat2", -descriptor);
      return descriptors.adopt(descriptor, closeSync);
    };
    const made = makeDirectory(open(path.slice(0, index)), cString(name), 0o755);
    if (made === -EEXIST) continue;
    if (made < 0) throw new SystemCallError("mkdirat", -made);
    setDescriptorOwner(open(path.slice(0, index + 1)), owner, owner);
  }
}
