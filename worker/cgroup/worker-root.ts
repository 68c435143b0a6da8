import { SystemCallError } from "../linux/errno.ts";
import type { CgroupFiles } from "./files.ts";

/** The cgroup that holds those of all workers started in the same place. */
export const PARENT = "longshore";

/** Makes a cgroup unless it exists. */
export function ensureDirectory(files: CgroupFiles, path: string): void {
  try {
    files.makeDirectory(path);
  } catch (error) {
    if (!(error instanceof SystemCallError && error.errno === "EEXIST")) throw error;
  }
}

/** Ways out of what may stop a worker from making its cgroup, by error. */
const waysOut: Readonly<Record<string, string>> = {
  EACCES: "run the worker as root, or set Delegate=yes in its systemd unit",
  EPERM: "run the worker as root, or set Delegate=yes in its systemd unit",
  EROFS: "give the worker's container a writable cgroup file system (docker: --privileged --cgroupns=private)",
  EBUSY:
    "the worker's cgroup has processes that cannot be moved: start the worker in a cgroup of its own with " +
    "systemd-run --scope -p Delegate=yes, or set Delegate=yes in its systemd unit",
  ENOSPC: "too many cgroups: remove some, or raise cgroup.max.descendants",
};

/** Does set-up work; a failure gets the way out added. */
export function explain(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
    const wayOut = waysOut[error.errno];
    if (wayOut === undefined) throw error;
    throw new Error(`cannot set the worker's cgroup up: ${error.message}: ${wayOut}`, { cause: error });
  }
}
