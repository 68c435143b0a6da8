import { basename } from "node:path";
import type { Cgroup, CgroupHierarchy, CgroupLimits } from "../cgroup.ts";
import { SlotCpuset, type SlotCores } from "../cpuset/slot-cpuset.ts";
import type { CgroupFiles } from "../files.ts";
import { removeCgroup, subtree } from "../removal.ts";
import { ensureDirectory, explain, WorkerRoot } from "../worker-root.ts";
import { killCgroup, V2Cgroup } from "./cgroup.ts";
import { forbidSwap } from "./memory.ts";
import { enableControllers, enableCpuset, makeRoomForContainers } from "./supervisor.ts";

/** The worker's directory in the v2 hierarchy. */
export class V2Hierarchy implements CgroupHierarchy {
  readonly version = 2;
  readonly #files: CgroupFiles;
  readonly #own: string;
  readonly #root: WorkerRoot;
  /** Where containers are made: in the slot's place, if it has one. */
  readonly #place: string;
  readonly #cpuset: SlotCpuset | undefined;

  constructor(own: string, worker: string, files: CgroupFiles, cores?: SlotCores) {
    this.#files = files;
    this.#own = own;
    this.#root = new WorkerRoot(files, own, worker);
    this.#place = cores === undefined ? this.#root.path : `${this.#root.path}/${cores.name}`;
    this.#cpuset = cores && new SlotCpuset(files, this.#place, cores);
  }

  prepare(): void {
    explain(() => {
      makeRoomForContainers(this.#files, this.#own);
      // First: where something is in the parent, nobody removes it.
      this.#root.hold();
      for (const directory of [this.#root.parent, this.#root.path]) enableControllers(this.#files, directory);
      forbidSwap(this.#files, this.#root.path);
    });
  }

  prepareCores(): void {
    explain(() => {
      for (const directory of [this.#own, this.#root.parent, this.#root.path]) enableCpuset(this.#files, directory);
    });
  }

  occupy(): void {
    if (this.#cpuset === undefined) return;
    ensureDirectory(this.#files, this.#place);
    this.#cpuset.allow(1);
    // Without cpuset: containers have the slot's cores, and no file of their own for them.
    enableControllers(this.#files, this.#place);
  }

  create(name: string, limits?: CgroupLimits): Cgroup {
    const directory = `${this.#place}/${name}`;
    this.#files.makeDirectory(directory);
    using undo = new DisposableStack();
    undo.defer(() => this.#files.removeDirectory(directory));
    const cgroup = new V2Cgroup(this.#files, directory, this.#cpuset);
    if (limits !== undefined) cgroup.limit(limits);
    undo.move();
    return cgroup;
  }

  sweep(prefix = ""): void {
    for (const child of this.#files.children(this.#place)) {
      if (!basename(child).startsWith(prefix)) continue;
      const killAll = (): void => killCgroup(this.#files, child);
      killAll();
      for (const directory of subtree(this.#files, child)) removeCgroup(this.#files, directory, killAll);
    }
  }

  removeAbandoned(isWorker: (name: string) => boolean): void {
    this.#root.removeAbandoned(isWorker, (directory) => killCgroup(this.#files, directory));
  }

  remove(): void {
    this.sweep();
    this.#root.remove(() => this.sweep());
  }
}
