import { readFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { CgroupFiles } from "./files.ts";
import { parseMountInfo, parseOwnCgroups, pathThroughMount } from "./mounts.ts";

/** The v1 controllers a container needs. */
export const v1Controllers = ["cpu", "cpuacct", "memory", "pids"] as const;
export type V1Controller = (typeof v1Controllers)[number];

/** The v2 controllers a container needs; on v2 every cgroup counts CPU time. */
export const v2Controllers = ["cpu", "memory", "pids"] as const;

/** The leaf into which a worker on v2 moves, so that its own cgroup may have children with limits. */
export const SUPERVISOR = "longshore-supervisor";

/** Where the process's own cgroups are. Plain data: it is handed to the slots' threads. */
export type CgroupLayout =
  | {
      readonly version: 1;
      /** One directory per controller; two controllers mounted together have the same. */
      readonly directories: Readonly<Record<V1Controller, string>>;
      /** Of the controller cpuset, where it is mounted apart from those. */
      readonly cpuset?: string;
    }
  | {
      readonly version: 2;
      readonly directory: string;
      /** Whether the controller cpuset can be had; not when left out. */
      readonly cpuset?: "offered";
    };

/** Files that describe the calling process; others in tests. */
export interface CgroupSources {
  /** proc_pid_mountinfo(5) */
  readonly mountInfo: string;
  /** /proc/[pid]/cgroup of cgroups(7) */
  readonly ownCgroups: string;
}

const ofThisProcess: CgroupSources = { mountInfo: "/proc/self/mountinfo", ownCgroups: "/proc/self/cgroup" };

/**
 * Finds out which cgroup version to use: v2 where it offers all that a container needs, else v1 where that does.
 * @throws {Error} naming the missing controller and the way out
 */
export function detectCgroups(sources = ofThisProcess, files = new CgroupFiles()): CgroupLayout {
  const mounts = parseMountInfo(readFileSync(sources.mountInfo, "utf8"));
  const own = parseOwnCgroups(readFileSync(sources.ownCgroups, "utf8"));
  const find = (hierarchy: string): string | undefined => {
    const path = own.get(hierarchy);
    if (path === undefined) return undefined;
    const through = mounts.filter((mount) => mount.hierarchies.includes(hierarchy));
    return through.map((mount) => pathThroughMount(mount, path)).find((directory) => directory !== undefined);
  };

  const unified = aboveSupervisor(find(""));
  const offered = unified === undefined ? [] : files.read(`${unified}/cgroup.controllers`).trim().split(" ");
  if (unified !== undefined && v2Controllers.every((controller) => offered.includes(controller))) {
    return { version: 2, directory: unified, ...(offered.includes("cpuset") && { cpuset: "offered" }) };
  }

  const [cpu, cpuacct, memory, pids] = v1Controllers.map(find);
  if (cpu !== undefined && cpuacct !== undefined && memory !== undefined && pids !== undefined) {
    const directories = { cpu, cpuacct, memory, pids };
    const cpuset = find("cpuset");
    // Where it shares a hierarchy, every container would need cores of its own.
    const isApart = cpuset !== undefined && !Object.values(directories).includes(cpuset);
    return { version: 1, directories, ...(isApart && { cpuset }) };
  }
  if (v1Controllers.every((controller) => find(controller) === undefined)) {
    if (unified === undefined) throw new Error("no cgroup file system is mounted: mount cgroup2 on /sys/fs/cgroup");
    const missing = v2Controllers.filter((controller) => !offered.includes(controller)).join(", ");
    throw new Error(
      `cgroup controllers not offered in ${unified}: ${missing}: set Delegate=yes in the worker's systemd unit, ` +
        "or start it with systemd-run --scope -p Delegate=yes",
    );
  }
  const missing = v1Controllers.filter((controller) => find(controller) === undefined).join(", ");
  throw new Error(
    `cgroup v1 controllers not mounted: ${missing}: mount each on /sys/fs/cgroup/NAME (memory may also need ` +
      "cgroup_enable=memory on the kernel's command line), or boot with systemd.unified_cgroup_hierarchy=1",
  );
}

/**
 * The cgroup that a worker may divide: for one that is started by a process which lives in the leaf, as a service's second
 * worker is, the one above. The leaf itself has no controller but those that the first worker's containers needed.
 */
function aboveSupervisor(own: string | undefined): string | undefined {
  return own !== undefined && basename(own) === SUPERVISOR ? dirname(own) : own;
}
