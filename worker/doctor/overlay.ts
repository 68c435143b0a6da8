import { closeSync } from "node:fs";
import { AT, FSCONFIG, FSOPEN, OPEN_TREE } from "../linux/constants.ts";
import { errnoName } from "../linux/errno.ts";
import { addressOf, cString, systemCall } from "../linux/libc.ts";
import { degraded, type Finding, missing, ok } from "./finding.ts";

const NAME = "overlay";

/** The union mount is there, and takes its layers as descriptors of detached mounts. */
export function checkOverlay(): Finding {
  using descriptors = new DisposableStack();
  const [type, root, option] = [cString("overlay"), cString("/"), cString("lowerdir+")];
  const overlay = systemCall("fsopen", addressOf(type), FSOPEN.FSOPEN_CLOEXEC);
  if (overlay < 0) {
    return missing(NAME, `cannot be opened: ${errnoName(-overlay)}`, "load it: modprobe overlay (as root)");
  }
  descriptors.adopt(overlay, closeSync);
  const { OPEN_TREE_CLONE, OPEN_TREE_CLOEXEC } = OPEN_TREE;
  const layer = systemCall("open_tree", AT.AT_FDCWD, addressOf(root), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (layer < 0) return missing(NAME, `/ cannot be cloned: ${errnoName(-layer)}`, "run as root");
  descriptors.adopt(layer, closeSync);

  const taken = systemCall("fsconfig", overlay, FSCONFIG.FSCONFIG_SET_FD, addressOf(option), 0, layer);
  if (taken >= 0) return ok(NAME, "layers by descriptor");
  return degraded(
    NAME,
    "layers by path",
    "a container takes a little longer to make, and an image has at most as many layers as their paths fit a page",
    "install linux 6.15 or later",
  );
}
