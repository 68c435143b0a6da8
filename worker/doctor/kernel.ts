import { release } from "node:os";
import { degraded, type Finding, ok } from "./finding.ts";

/** The oldest kernel that Longshore is tested with: that of Debian 12. */
const OLDEST_KERNEL = "6.1";

/** The version; only a hint, since vendors move features between versions: the other checks look for each of them. */
export function checkKernel(version = release()): Finding {
  if (version.localeCompare(OLDEST_KERNEL, "en", { numeric: true }) >= 0) return ok("kernel", `linux ${version}`);
  return degraded(
    "kernel",
    `linux ${version}`,
    `nobody has tested longshore before ${OLDEST_KERNEL}`,
    `install linux ${OLDEST_KERNEL} or later, e.g. that of Debian 12`,
  );
}
