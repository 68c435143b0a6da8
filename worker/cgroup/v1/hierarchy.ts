import { basename } from "node:path";
import type { Cgroup, CgroupHierarchy, CgroupLimits } from "../cgroup.ts";
import type { V1Controller } from "../detect.ts";
import type { CgroupFiles } from "../files.ts";
import { killProcesses, removeCgroup, removeUnlessUsed, subtree } from "../removal.ts";
import { ensureDirectory, explain, PARENT } from "../worker-root.ts";
import { distinct, V1Cgroup } from "./cgroup.ts";
import type { V1Cpuset } from "./cpuset.ts";
import { avoidSwapping, type CountedMemory, MEMORY_AND_SWAP, SOCKET_MEMORY } from "./memory.ts";

type Directories = Readonly<Record<V1Controller, string>>;

/** The worker's directories in the v1 hierarchies. */
export class V1Hierarchy implements CgroupHierarchy {
  readonly version = 1;
  readonly #files: CgroupFiles;
  readonly #own: Directories;
  readonly #parents: Directories;
  readonly #roots: Directories;
  readonly #cpuset: V1Cpuset | undefined;
  /** Looked up once. */
  #counts: CountedMemory | undefined;

  constructor(own: Directories, worker: string, files: CgroupFiles, cpuset?: V1Cpuset) {
    this.#files = files;
    this.#cpuset = cpuset;
    this.#own = own;
    this.#parents = below(own, PARENT);
    this.#roots = below(this.#parents, worker);
  }

  prepare(): void {
    explain(() => {
      for (const directory of [...distinct(this.#parents), ...distinct(this.#roots)]) {
        ensureDirectory(this.#files, directory);
      }
      avoidSwapping(this.#files, this.#roots.memory);
    });
  }

  prepareCores(): void {
    const cpuset = this.#cpuset;
    if (cpuset === undefined) throw new RangeError("the layout has no cpuset");
    explain(() => cpuset.prepare());
  }

  occupy(): void {
    this.#cpuset?.occupy();
  }

  create(name: string, limits?: CgroupLimits): Cgroup {
    const directories = below(this.#roots, name);
    using undo = new DisposableStack();
    for (const directory of distinct(directories)) {
      this.#files.makeDirectory(directory);
      undo.defer(() => this.#files.removeDirectory(directory));
    }
    this.#counts ??= {
      swap: this.#files.exists(`${this.#own.memory}/${MEMORY_AND_SWAP}`),
      sockets: this.#files.exists(`${this.#roots.memory}/${SOCKET_MEMORY}`),
    };
    const cgroup = new V1Cgroup(this.#files, directories, this.#counts, this.#cpuset);
    if (limits !== undefined) cgroup.limit(limits);
    undo.move();
    return cgroup;
  }

  sweep(prefix = ""): void {
    const found = distinct(this.#roots)
      .flatMap((root) => this.#files.children(root))
      .filter((child) => basename(child).startsWith(prefix))
      .flatMap((child) => subtree(this.#files, child));
    const killAll = (): void => killProcesses(this.#files, found);
    killAll();
    for (const directory of found) removeCgroup(this.#files, directory, killAll);
    if (prefix === "") this.#cpuset?.sweep();
  }

  workers(): readonly string[] {
    const parents = [...distinct(this.#parents), ...(this.#cpuset === undefined ? [] : [this.#cpuset.parent])];
    const directories = parents.flatMap((parent) => this.#files.children(parent));
    return [...new Set(directories.map((directory) => basename(directory)))];
  }

  remove(): void {
    this.sweep();
    for (const root of distinct(this.#roots)) this.#files.removeDirectory(root);
    for (const parent of distinct(this.#parents)) removeUnlessUsed(this.#files, parent);
    this.#cpuset?.remove();
  }
}

function below(parents: Directories, name: string): Directories {
  return {
    cpu: `${parents.cpu}/${name}`,
    cpuacct: `${parents.cpuacct}/${name}`,
    memory: `${parents.memory}/${name}`,
    pids: `${parents.pids}/${name}`,
  };
}
