import { FSCONFIG, FSMOUNT, FSOPEN, MNT, MOUNT_ATTR, MS, O } from "../../linux/constants.ts";
import { DEFAULT_USER } from "../init-layer.ts";
import { flags, mode, NULL, resultOf, string } from "./arguments.ts";
import type { HostFacts, SlotFacts } from "./facts.ts";
import { cloneDirectory, cloneTree, mountTmpfs, moveToPath } from "./mounting.ts";
import type { ContainerShape } from "./shape.ts";
import { type Argument, type DescriptorArgument, type Step, type StepWriter, writeSteps } from "./step.ts";

/** The container's root as the slot made it; the slot writes files to it, and reads outputs when the container is dead. */
export interface UnionMount {
  /** The root file system, a detached mount of the slot's own: what init attaches in the container's is not in it. */
  readonly root: Step;
  /** The same once more, for the container. */
  readonly shown: Step;
  /** The tmpfs that takes what the container writes; under a read-only root that is /work. The slot's own, as `root`. */
  readonly scratch: Step;
  /** Under a read-only root, the scratch once more: the container's /work. */
  readonly work: Step | undefined;
  /** The overlay's upper directory; undefined under a read-only root. */
  readonly upper: Step | undefined;
  /** The scratch once more, a detached mount to be attached for later runs: where layers are named by path. */
  readonly kept: Step | undefined;
  /** Of the slot's own mounts those that are attached nowhere, and never need to be. */
  readonly loose: readonly Step[];
}

/** The root is trusted with neither devices nor set-user-id bits: images are strangers' work, too. */
const ROOT_ATTRIBUTES = flags(MOUNT_ATTR, "MOUNT_ATTR_NODEV", "MOUNT_ATTR_NOSUID");

/**
 * A layer that is kept becomes an image's, or another container's: it must hold whole files, under their own names,
 * whatever this kernel does unless told otherwise. What these leave out means something on top of these very layers only.
 */
const PLAIN_LAYER = ["redirect_dir=off", "metacopy=off", "index=off", "xino=off"];

/** Stacks the layers, under a writable one on a tmpfs of its own where the root is writable. */
export function mountUnion(steps: Step[], shape: ContainerShape, slot: SlotFacts, host: HostFacts): UnionMount {
  const step = writeSteps(steps, "slot", "union mount");
  const owner = shape.rootfs === "writable" ? { uid: 0, gid: 0 } : shape.user;
  const scratch = shape.build
    ? cloneDirectory(step, shape.build.scratchDirectory)
    : mountTmpfs(step, {
        sizeBytes: shape.limits.diskBytes,
        mode: 0o755,
        uid: slot.idBase + owner.uid,
        gid: slot.idBase + owner.gid,
      });
  const upper = shape.rootfs === "writable" ? makeUpper(step, scratch, slot) : undefined;
  const isKept = shape.build !== undefined || shape.keepLayerAs !== undefined;
  if (upper !== undefined && !isKept) copyWorkUp(step, upper, slot);
  const options = isKept ? PLAIN_LAYER : [];
  if (host.overlay === "descriptors") {
    const root = overlayOfDescriptors(step, slot, upper, options);
    const shown = cloneTree(step, resultOf(root));
    const work = upper === undefined ? cloneTree(step, resultOf(scratch)) : undefined;
    const loose = shape.keepLayerAs === undefined ? [root, scratch] : [root];
    return { root, shown, scratch, work, upper: upper?.directory, kept: undefined, loose };
  }
  // Before Linux 6.15, only what is attached can be cloned, and what has been detached cannot be attached again.
  prepareStaging(step, slot);
  moveToPath(step, resultOf(scratch), SCRATCH);
  const upperOptions = upper === undefined ? [] : [`upperdir=${SCRATCH}/upper`, `workdir=${SCRATCH}/work`];
  const roots = overlayOfPaths(step, slot, [...upperOptions, ...options]);
  const work = upper === undefined ? cloneDirectory(step, SCRATCH) : undefined;
  const kept = shape.keepLayerAs === undefined ? undefined : cloneDirectory(step, SCRATCH);
  step("umount2", string(SCRATCH), flags(MNT, "MNT_DETACH"));
  return { ...roots, scratch, work, upper: upper?.directory, kept, loose: [roots.root] };
}

interface Upper {
  readonly directory: Step;
  readonly work: Step;
}

function makeUpper(step: StepWriter, scratch: Step, slot: SlotFacts): Upper {
  const directory = (name: string): Step => {
    step("mkdirat", resultOf(scratch), string(name), mode(0o755));
    return step("openat", resultOf(scratch), string(name), flags(O, "O_PATH", "O_DIRECTORY", "O_CLOEXEC"));
  };
  const upper = directory("upper");
  // The upper directory is what the container sees as `/`.
  step("fchownat", resultOf(scratch), string("upper"), slot.idBase, slot.idBase, 0);
  return { directory: upper, work: directory("work") };
}

/**
 * /work as the init layer has it, so that the kernel need not copy it up when the first file is put into it: that takes
 * 50 µs, and here two cheap calls. Not for a layer that is kept, which has nothing that its container did not write.
 */
function copyWorkUp(step: StepWriter, { directory }: Upper, slot: SlotFacts): void {
  step("mkdirat", resultOf(directory), string("work"), mode(0o755));
  const { uid, gid } = DEFAULT_USER;
  step("fchownat", resultOf(directory), string("work"), slot.idBase + uid, slot.idBase + gid, 0);
}

/** Made once, as there is a step for each of many layers. */
const SET_DESCRIPTOR = flags(FSCONFIG, "FSCONFIG_SET_FD");
const LOWER_DIRECTORY = string("lowerdir+");

/** Linux 6.15: everything by descriptor, nothing is mounted anywhere yet. */
function overlayOfDescriptors(
  step: StepWriter,
  slot: SlotFacts,
  upper: Upper | undefined,
  options: readonly string[],
): Step {
  const overlay = step("fsopen", string("overlay"), flags(FSOPEN, "FSOPEN_CLOEXEC"));
  const context = resultOf(overlay);
  const set = (option: Argument, value: DescriptorArgument): Step =>
    step("fsconfig", context, SET_DESCRIPTOR, option, NULL, value);
  for (const layer of slot.layers) set(LOWER_DIRECTORY, layer.descriptor);
  if (upper !== undefined) {
    set(string("upperdir"), resultOf(upper.directory));
    set(string("workdir"), resultOf(upper.work));
  }
  for (const option of options) {
    const [key = "", value = ""] = option.split("=");
    step("fsconfig", resultOf(overlay), flags(FSCONFIG, "FSCONFIG_SET_STRING"), string(key), string(value), 0);
  }
  step("fsconfig", resultOf(overlay), flags(FSCONFIG, "FSCONFIG_CMD_CREATE"), NULL, NULL, 0);
  return step("fsmount", resultOf(overlay), flags(FSMOUNT, "FSMOUNT_CLOEXEC"), ROOT_ATTRIBUTES);
}

/** Mount points in the staging directory. */
const ROOT = "root";
const SCRATCH = "scratch";

/**
 * Before Linux 6.15 the directories of an overlay have to be in the mounter's mount namespace, and before 6.5 all its
 * options have to fit one page. The slot has a mount namespace of its own, where the scratch is attached while the
 * overlay is made; and its thread a working directory of its own, which keeps the names of many layers short.
 */
function prepareStaging(step: StepWriter, slot: SlotFacts): void {
  step("chdir", string(slot.staging));
  // What a plan that failed half-way has left attached.
  for (const path of [ROOT, SCRATCH]) step.mayFail("umount2", string(path), flags(MNT, "MNT_DETACH"));
}

function overlayOfPaths(
  step: StepWriter,
  slot: SlotFacts,
  options: readonly string[],
): Pick<UnionMount, "root" | "shown"> {
  const data = [`lowerdir=${slot.layers.map((layer) => layer.path).join(":")}`, ...options].join(",");
  step("mount", string("overlay"), string(ROOT), string("overlay"), flags(MS, "MS_NODEV", "MS_NOSUID"), string(data));
  const [root, shown] = [cloneDirectory(step, ROOT), cloneDirectory(step, ROOT)];
  step("umount2", string(ROOT), flags(MNT, "MNT_DETACH"));
  return { root, shown };
}
