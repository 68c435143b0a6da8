import { statfsSync } from "node:fs";
import { dirname } from "node:path";
import { degraded, type Finding, missing, ok } from "./finding.ts";

/** About what the images of all presets take, and the largest of them once more while it is built. */
const COMFORTABLE_BYTES = 4 * 1024 ** 3;
const LEAST_BYTES = 1024 ** 3;

/** There is room for images below the data directory. */
export function checkDisk(dataDirectory: string): Finding {
  const { bavail, bsize } = statfsSync(nearestExisting(dataDirectory));
  const free = bavail * bsize;
  const detail = `${(free / 1024 ** 3).toFixed(1)} GiB free under ${dataDirectory}`;
  const wayOut = "free some space, or move LONGSHORE_DATA to a larger disk";
  if (free < LEAST_BYTES) return missing("disk", detail, wayOut);
  if (free < COMFORTABLE_BYTES) return degraded("disk", detail, "not every image fits", wayOut);
  return ok("disk", detail);
}

function nearestExisting(path: string): string {
  try {
    statfsSync(path);
    return path;
  } catch (error) {
    const parent = dirname(path);
    if (parent === path) throw error;
    return nearestExisting(parent);
  }
}
