import type { CgroupHierarchy, CgroupRoot } from "./cgroup.ts";
import { CgroupFiles } from "./files.ts";
import { V1Cpuset } from "./v1/cpuset.ts";
import { V1Hierarchy } from "./v1/hierarchy.ts";
import { V2Hierarchy } from "./v2/hierarchy.ts";

/** Opens a worker's cgroup for the calling thread; touches nothing yet. */
export function openCgroups({ layout, worker, cores }: CgroupRoot, files = new CgroupFiles()): CgroupHierarchy {
  switch (layout.version) {
    case 1: {
      const cpuset = layout.cpuset === undefined ? undefined : new V1Cpuset(files, layout.cpuset, worker, cores);
      return new V1Hierarchy(layout.directories, worker, files, cpuset);
    }
    case 2:
      return new V2Hierarchy(layout.directory, worker, files, cores);
    default:
      throw new Error(`unknown cgroup layout: ${JSON.stringify(layout satisfies never)}`);
  }
}
