import { basename } from "node:path";
import type { Cgroup, CgroupHierarchy, CgroupLimits } from "../cgroup.ts";
import type { V1Controller } from "../detect.ts";
import type { CgroupFiles } from "../files.ts";
import { killProcesses, removeCgroup, subtree } from "../removal.ts";
import { explain, WorkerRoot } from "../worker-root.ts";
import { distinct, V1Cgroup } from "./cgroup.ts";
import type { V1Cpuset } from "./cpuset.ts";
import { avoidSwapping, type CountedMemory, MEMORY_AND_SWAP, SOCKET_MEMORY } from "./memory.ts";

type Directories = Readonly<Record<V1Controller, string>>;

/** The worker's directories in the v1 hierarchies. */
export class V1Hierarchy implements CgroupHierarchy {
  readonly version = 1;
  readonly #files: CgroupFiles;
  readonly #own: Directories;
  readonly #roots: Directories;
  /** The same, each once. */
  readonly #workerRoots: readonly WorkerRoot[];
  readonly #cpuset: V1Cpuset | undefined;
  /** Looked up once. */
  #counts: CountedMemory | undefined;

  constructor(own: Directories, worker: string, files: CgroupFiles, cpuset?: V1Cpuset) {
    this.#files = files;
    this.#cpuset = cpuset;
    this.#own = own;
    const root = (directory: string): WorkerRoot => new WorkerRoot(files, directory, worker);
    this.#workerRoots = distinct(own).map(root);
    this.#roots = mapDirectories(own, (directory) => root(directory).path);
  }

  prepare(): void {
    explain(() => {
      for (const root of this.#workerRoots) root.hold();
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
    const directories = mapDirectories(this.#roots, (root) => `${root}/${name}`);
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

  removeAbandoned(isWorker: (name: string) => boolean): void {
    const roots = [...this.#workerRoots, ...(this.#cpuset === undefined ? [] : [this.#cpuset.root])];
    const kill = (directory: string): void => killProcesses(this.#files, subtree(this.#files, directory));
    for (const root of roots) root.removeAbandoned(isWorker, kill);
  }

  remove(): void {
    this.sweep();
    for (const root of this.#workerRoots) root.remove(() => this.sweep());
    this.#cpuset?.remove();
  }
}

function mapDirectories({ cpu, cpuacct, memory, pids }: Directories, change: (path: string) => string): Directories {
  return { cpu: change(cpu), cpuacct: change(cpuacct), memory: change(memory), pids: change(pids) };
}
