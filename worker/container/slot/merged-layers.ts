/**
 * Many layers as one: the lowest layers of a tall stack, merged into a read-only overlay that a slot makes once and then
 * uses for every container of that image.
 *
 *   without      init layer │ 60 │ 59 │ … │ 2 │ 1            61 layers for each container
 *   with         init layer │ 60 │ 59 │ 58 │ 57 │ merged     6, and the 56 of `merged` once
 *
 * A layer costs each container's overlay about 10 µs: to be planned, named, cloned, and searched for every name that it
 * does not have. Of 60 layers that was a quarter of the whole start (0.7 ms of 3.1 ms; 0.2 ms with them merged).
 *
 * Only the lowest layers can be merged: an overlay does not show its layers' whiteouts, and those of the lowest ones
 * have nothing below them to delete. Overlayfs takes another overlay as a lower layer, but not one of those in turn.
 */
import { closeSync, existsSync } from "node:fs";
import { FSCONFIG, FSMOUNT, FSOPEN, MOUNT_ATTR } from "../../linux/constants.ts";
import { cString, mustCall } from "../../linux/libc.ts";
import type { HostFacts, MountedLayer } from "../plan/facts.ts";
import type { Layer } from "../spec.ts";

/** Layers are merged by the group, so that those which a job puts on its image's seldom change what is merged. */
const GROUP = 8;

/**
 * How many of the lowest layers are to be merged.
 * @param layers lowest first
 */
export function countMerged(layers: readonly Layer[], { overlay }: HostFacts): number {
  // Where layers are named by path, they are mounted in the slot's namespace, and each more is copied with it.
  if (overlay === "paths") return 0;
  const end = layers.findIndex(({ kind }) => kind !== "directory");
  const directories = end === -1 ? layers.length : end;
  return directories - (directories % GROUP);
}

/** Stacks that stay merged when no container has them: those of as many images. */
const IDLE_STACKS_MAX = 8;

/** The merged layers of a slot. */
export class MergedLayers implements Disposable {
  /** By the names of their mounts, of which none is used twice; used longest ago first. */
  readonly #merged = new Map<string, { readonly layer: MountedLayer; readonly directory: string }>();

  /**
   * Some layers as one, good until the next {@link tidy}.
   * @param layers lowest first, two at least, mounted
   * @param directory of the topmost of them, which goes when the image is removed
   * @throws {SystemCallError}
   */
  get(layers: readonly MountedLayer[], directory: string): MountedLayer {
    const key = layers.map(({ path }) => path).join(":");
    const layer = this.#merged.get(key)?.layer ?? mergeLayers(layers);
    this.#merged.delete(key);
    this.#merged.set(key, { layer, directory });
    return layer;
  }

  /**
   * Unmounts what has not been used for longest, and what is of an image that was removed: its files stay on the disk
   * for as long as the mount remembers them. To be called while there is no container.
   */
  tidy(): void {
    for (const [key, { layer, directory }] of this.#merged) {
      if (this.#merged.size <= IDLE_STACKS_MAX && existsSync(directory)) continue;
      this.#merged.delete(key);
      closeSync(layer.descriptor.descriptor);
    }
  }

  [Symbol.dispose](): void {
    for (const { layer } of this.#merged.values()) closeSync(layer.descriptor.descriptor);
    this.#merged.clear();
  }
}

function mergeLayers(layers: readonly MountedLayer[]): MountedLayer {
  const [overlay, option] = [cString("overlay"), cString("lowerdir+")];
  const context = mustCall("fsopen", overlay, FSOPEN.FSOPEN_CLOEXEC);
  try {
    for (const { descriptor } of layers.toReversed()) {
      mustCall("fsconfig", context, FSCONFIG.FSCONFIG_SET_FD, option, 0, descriptor.descriptor);
    }
    mustCall("fsconfig", context, FSCONFIG.FSCONFIG_CMD_CREATE, 0, 0, 0);
    const { MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV } = MOUNT_ATTR;
    const attributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
    const descriptor = mustCall("fsmount", context, FSMOUNT.FSMOUNT_CLOEXEC, attributes);
    return { descriptor: { kind: "held", descriptor, text: `${layers.length} layers merged` }, path: "" };
  } finally {
    closeSync(context);
  }
}
