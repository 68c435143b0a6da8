import { basename } from "node:path";
import type { Cgroup, CgroupHierarchy, CgroupLimits } from "../cgroup.ts";
import { SlotCpuset, type SlotCores } from "../cpuset/slot-cpuset.ts";
import type { CgroupFiles } from "../files.ts";
import { removeCgroup, removeUnlessUsed, subtree } from "../removal.ts";
import { ensureDirectory, explain, PARENT } from "../worker-root.ts";
import { killCgroup, V2Cgroup } from "./cgroup.ts";
import { forbidSwap } from "./memory.ts";
import { enableControllers, enableCpuset, makeRoomForContainers } from "./supervisor.ts";

/** The worker's directory in the v2 hierarchy. */
export class V2Hierarchy implements CgroupHierarchy {
  readonly version = 2;
  readonly #files: CgroupFiles;
  readonly #own: string;
  readonly #parent: string;
  readonly #root: string;
  /** Where containers are made: in the slot's place, if it has one. */
  readonly #place: string;
  readonly #cpuset: SlotCpuset | undefined;

  constructor(own: string, worker: string, files: CgroupFiles, cores?: SlotCores) {
    this.#files = files;
    this.#own = own;
    this.#parent = `${own}/${PARENT}`;
    this.#root = `${this.#parent}/${worker}`;
    this.#place = cores === undefined ? this.#root : `${this.#root}/${cores.name}`;
    this.#cpuset = cores && new SlotCpuset(files, this.#place, cores);
  }

  prepare(): void {
    explain(() => {
      makeRoomForContainers(this.#files, this.#own);
      for (const directory of [this.#parent, this.#root]) {
        ensureDirectory(this.#files, directory);
        enableControllers(this.#files, directory);
      }
      forbidSwap(this.#files, this.#root);
    });
  }

  prepareCores(): void {
    explain(() => {
      for (const directory of [this.#own, this.#parent, this.#root]) enableCpuset(this.#files, directory);
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

  workers(): readonly string[] {
    return this.#files.children(this.#parent).map((directory) => basename(directory));
  }

  remove(): void {
    this.sweep();
    this.#files.removeDirectory(this.#root);
    removeUnlessUsed(this.#files, this.#parent);
  }
}
