import { closeSync } from "node:fs";
import { probeOverlay } from "../container/overlay-support.ts";
import { FSOPEN } from "../linux/constants.ts";
import { errnoName } from "../linux/errno.ts";
import { cString, systemCall } from "../linux/libc.ts";
import { degraded, type Finding, missing, ok } from "./finding.ts";

const NAME = "overlay";

/** The union mount is there, and how it takes its layers. */
export function checkOverlay(): Finding {
  const type = cString("overlay");
  const overlay = systemCall("fsopen", type, FSOPEN.FSOPEN_CLOEXEC);
  if (overlay < 0)
    return missing(NAME, `cannot be opened: ${errnoName(-overlay)}`, "load it, as root: modprobe overlay");
  closeSync(overlay);
  if (probeOverlay() === "descriptors") return ok(NAME, "layers by descriptor");
  return degraded(
    NAME,
    "layers by path",
    "each container takes some more steps to make, and the paths of an image's layers have to fit one page",
    "install linux 6.15 or later",
  );
}
