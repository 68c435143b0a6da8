/**
 * Control groups: which version, whether the controllers that hold a container's limits are there, and whether a group
 * can be made below our own.
 *
 * A machine has its controllers in one tree (v2), each in a tree of its own (v1), or, as systemd's hybrid mode, in v1
 * trees beside a v2 tree without controllers. See cgroups(7).
 */
import { existsSync, mkdirSync, readFileSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { degraded, type Finding, missing, ok } from "./finding.ts";

/** What a container's limits need. On v1 `cpuacct` counts CPU time and `freezer` ends all processes at once. */
const NEEDED = { 1: ["cpu", "cpuacct", "memory", "pids", "freezer"], 2: ["cpu", "memory", "pids"] } as const;

interface Hierarchy {
  readonly version: 1 | 2;
  readonly mountPoint: string;
  readonly controllers: readonly string[];
}

/** Checks the hierarchies of this process. */
export function checkCgroups(): Finding[] {
  const hierarchies = readHierarchies(readFileSync("/proc/self/mountinfo", "utf8"));
  const membership = readFileSync("/proc/self/cgroup", "utf8");
  const unified = hierarchies.find(({ version }) => version === 2);
  if (unified !== undefined && NEEDED[2].every((controller) => unified.controllers.includes(controller))) {
    return [
      ok("cgroup", "v2"),
      ...checkGroup("cgroup v2", unified, membership),
      checkUnifiedFeatures(unified, membership),
    ];
  }
  const findings = NEEDED[1].map((controller) => {
    const hierarchy = hierarchies.find(({ version, controllers }) => version === 1 && controllers.includes(controller));
    if (hierarchy === undefined) {
      return missing(
        `cgroup ${controller}`,
        "in neither version's tree",
        `mount it, e.g. mount -t cgroup2 none /sys/fs/cgroup, and allow it to us: its parent's cgroup.subtree_control`,
      );
    }
    return checkGroup(`cgroup ${controller}`, hierarchy, membership);
  });
  return [
    degraded(
      "cgroup",
      "v1",
      "a container joins its groups one by one, which takes longer and longer on a busy machine",
      "start the machine with v2: systemd.unified_cgroup_hierarchy=1 on the kernel's command line",
    ),
    ...findings.flat(),
  ];
}

/** The trees that are mounted; `mountinfo` is as proc_pid_mountinfo(5) describes. */
export function readHierarchies(mountinfo: string): Hierarchy[] {
  return mountinfo.split("\n").flatMap((line): Hierarchy[] => {
    const [mount = "", superBlock = ""] = line.split(" - ");
    const mountPoint = mount.split(" ")[4];
    const [type, , options = ""] = superBlock.split(" ");
    if (mountPoint === undefined) return [];
    if (type === "cgroup") return [{ version: 1, mountPoint, controllers: options.split(",") }];
    if (type !== "cgroup2") return [];
    const controllers = readFileSync(join(mountPoint, "cgroup.controllers"), "utf8").trim().split(" ");
    return [{ version: 2, mountPoint, controllers }];
  });
}

/** Our own group in a tree; `membership` is as /proc/self/cgroup, described by cgroups(7). */
export function ownGroup(hierarchy: Hierarchy, membership: string): string | undefined {
  for (const line of membership.split("\n")) {
    const [id, controllers = "", ...path] = line.split(":");
    const same =
      hierarchy.version === 2
        ? id === "0"
        : controllers.split(",").some((name) => hierarchy.controllers.includes(name));
    if (!same || path.length === 0) continue;
    const directory = join(hierarchy.mountPoint, path.join(":")).replace(/\/$/, "");
    // In a container without a cgroup namespace the path is the host's, and what is mounted is our own group.
    return existsSync(directory) ? directory : hierarchy.mountPoint;
  }
  return undefined;
}

/** Makes a group below our own, as a worker does, and removes it again. */
function checkGroup(name: string, hierarchy: Hierarchy, membership: string): Finding[] {
  const own = ownGroup(hierarchy, membership) ?? hierarchy.mountPoint;
  const probe = join(own, `longshore-doctor-${process.pid}`);
  try {
    mkdirSync(probe);
    rmdirSync(probe);
    return [ok(name, own)];
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return [missing(name, `no group can be made in ${own}: ${reason}`, "run as root, with this tree mounted writable")];
  }
}

/** What came to v2 after Linux 5.0, by the files it brings. */
function checkUnifiedFeatures(unified: Hierarchy, membership: string): Finding {
  const name = "cgroup features";
  const probe = join(ownGroup(unified, membership) ?? unified.mountPoint, `longshore-doctor-${process.pid}`);
  try {
    mkdirSync(probe);
    const has = (file: string) => existsSync(join(probe, file));
    const killable = has("cgroup.kill");
    // Where the parent does not hand the memory controller on, the file says nothing about the kernel.
    const measured = !has("memory.max") || has("memory.peak");
    rmdirSync(probe);
    if (!killable) return missing(name, "no cgroup.kill", "install linux 5.14 or later");
    if (measured) return ok(name, "cgroup.kill, memory.peak");
    return degraded(name, "no memory.peak", "memoryPeakBytes is unknown", "install linux 5.19 or later");
  } catch (error) {
    return missing(name, error instanceof Error ? error.message : String(error), "run as root");
  }
}
