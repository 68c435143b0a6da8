import { join } from "node:path";
import { FSCONFIG, FSMOUNT, FSOPEN, MNT, MOUNT_ATTR, MS, O, OPEN_TREE } from "../../linux/constants.ts";
import type { ContainerSpec } from "../spec.ts";
import { flags, mode, NULL, resultOf, string } from "./arguments.ts";
import type { HostFacts, SlotFacts } from "./facts.ts";
import { HERE, mountTmpfs, moveToPath } from "./mounting.ts";
import { type DescriptorArgument, type Step, type StepWriter, writeSteps } from "./step.ts";

/** The container's root as the slot made it; the slot reads outputs from it when the container is dead. */
export interface UnionMount {
  /** The root file system, a detached mount. */
  readonly root: Step;
  /** The tmpfs that takes what the container writes; under a read-only root it is /work. */
  readonly scratch: Step;
  /** The overlay's upper directory; undefined under a read-only root. */
  readonly upper: Step | undefined;
  /** Where the scratch is mounted in the slot's mount namespace; used where the host's overlays take paths. */
  readonly scratchPath: string;
}

/** The root is trusted with neither devices nor set-user-id bits: images are strangers' work, too. */
const ROOT_ATTRIBUTES = flags(MOUNT_ATTR, "MOUNT_ATTR_NODEV", "MOUNT_ATTR_NOSUID");

/**
 * A build's writable layer becomes an image's: it must hold whole files, under their own names, whatever this kernel
 * does unless told otherwise. What these leave out means something on top of these very layers only.
 */
const PLAIN_LAYER = ["redirect_dir=off", "metacopy=off", "index=off", "xino=off"];

/** Stacks the layers, under a writable one on a tmpfs of its own where the root is writable. */
export function mountUnion(steps: Step[], spec: ContainerSpec, slot: SlotFacts, host: HostFacts): UnionMount {
  const step = writeSteps(steps, "slot", "union mount");
  const owner = spec.rootfs === "writable" ? { uid: 0, gid: 0 } : spec.user;
  const scratch = spec.build
    ? cloneDirectory(step, spec.build.scratchDirectory)
    : mountTmpfs(step, {
        sizeBytes: spec.limits.diskBytes,
        mode: 0o755,
        uid: slot.idBase + owner.uid,
        gid: slot.idBase + owner.gid,
      });
  const upper = spec.rootfs === "writable" ? makeUpper(step, scratch, slot) : undefined;
  const scratchPath = join(slot.staging, spec.keepLayerAs ?? "scratch");
  const options = spec.build === undefined ? [] : PLAIN_LAYER;
  const root =
    host.overlay === "descriptors"
      ? overlayOfDescriptors(step, slot, upper, options)
      : overlayOfPaths(step, slot, upper, options, {
          mount: scratch,
          path: scratchPath,
          isKept: spec.keepLayerAs !== undefined,
        });
  return { root, scratch, upper: upper?.directory, scratchPath };
}

function cloneDirectory(step: StepWriter, path: string): Step {
  return step("open_tree", HERE, string(path), flags(OPEN_TREE, "OPEN_TREE_CLONE", "OPEN_TREE_CLOEXEC"));
}

interface Scratch {
  readonly mount: Step;
  readonly path: string;
  readonly isKept: boolean;
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

/** Linux 6.15: everything by descriptor, nothing is mounted anywhere yet. */
function overlayOfDescriptors(
  step: StepWriter,
  slot: SlotFacts,
  upper: Upper | undefined,
  options: readonly string[],
): Step {
  const overlay = step("fsopen", string("overlay"), flags(FSOPEN, "FSOPEN_CLOEXEC"));
  const set = (option: string, value: DescriptorArgument): Step =>
    step("fsconfig", resultOf(overlay), flags(FSCONFIG, "FSCONFIG_SET_FD"), string(option), NULL, value);
  for (const layer of slot.layers) set("lowerdir+", layer.descriptor);
  if (upper !== undefined) {
    set("upperdir", resultOf(upper.directory));
    set("workdir", resultOf(upper.work));
  }
  for (const option of options) {
    const [key = "", value = ""] = option.split("=");
    step("fsconfig", resultOf(overlay), flags(FSCONFIG, "FSCONFIG_SET_STRING"), string(key), string(value), 0);
  }
  step("fsconfig", resultOf(overlay), flags(FSCONFIG, "FSCONFIG_CMD_CREATE"), NULL, NULL, 0);
  return step("fsmount", resultOf(overlay), flags(FSMOUNT, "FSMOUNT_CLOEXEC"), ROOT_ATTRIBUTES);
}

/**
 * Before Linux 6.15 the directories of an overlay have to be in the mounter's mount namespace, and before 6.5 all its
 * options have to fit one page. The slot has a mount namespace of its own: the scratch is attached there while the
 * overlay is made, or for as long as its layer is kept.
 */
function overlayOfPaths(
  step: StepWriter,
  slot: SlotFacts,
  upper: Upper | undefined,
  plain: readonly string[],
  scratch: Scratch,
): Step {
  const rootPath = join(slot.staging, "root");
  const options = [`lowerdir=${slot.layers.map((layer) => layer.path).join(":")}`, ...plain];
  if (upper !== undefined) {
    step.mayFail("mkdirat", HERE, string(scratch.path), mode(0o755));
    moveToPath(step, resultOf(scratch.mount), scratch.path);
    options.push(`upperdir=${scratch.path}/upper`, `workdir=${scratch.path}/work`);
  }
  const attributes = flags(MS, "MS_NODEV", "MS_NOSUID");
  step("mount", string("overlay"), string(rootPath), string("overlay"), attributes, string(options.join(",")));
  const root = step("open_tree", HERE, string(rootPath), flags(OPEN_TREE, "OPEN_TREE_CLONE", "OPEN_TREE_CLOEXEC"));
  step("umount2", string(rootPath), flags(MNT, "MNT_DETACH"));
  if (upper !== undefined && !scratch.isKept) step("umount2", string(scratch.path), flags(MNT, "MNT_DETACH"));
  return root;
}
