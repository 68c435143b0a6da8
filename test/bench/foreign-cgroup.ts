import { readFileSync } from "node:fs";
import { CgroupFiles } from "../../worker/cgroup/files.ts";
import { parseMountInfo, pathThroughMount } from "../../worker/cgroup/mounts.ts";
import { subtree } from "../../worker/cgroup/removal.ts";

/**
 * A cgroup that other runtimes make below the root of every hierarchy, with their containers' in it, and leave there.
 * Disposing of it removes what they made.
 */
export class ForeignCgroup implements Disposable {
  /** As the OCI's `cgroupsPath` wants it. */
  readonly path: string;

  /** @param name without a slash; not one that anybody else would use */
  constructor(name: string) {
    this.path = `/${name}`;
  }

  [Symbol.dispose](): void {
    const files = new CgroupFiles();
    const directories = parseMountInfo(readFileSync("/proc/self/mountinfo", "utf8"))
      .map((mount) => pathThroughMount(mount, this.path))
      .filter((directory) => directory !== undefined && files.exists(directory))
      .flatMap((directory) => subtree(files, directory ?? this.path));
    for (const directory of directories) files.removeDirectory(directory);
  }
}
