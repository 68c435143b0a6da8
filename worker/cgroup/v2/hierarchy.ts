import { basename } from "node:path";
import type { Cgroup, CgroupHierarchy, CgroupLimits } from "../cgroup.ts";
import type { CgroupFiles } from "../files.ts";
import { limitProcesses } from "../pids.ts";
import { removeCgroup, removeUnlessUsed, subtree } from "../removal.ts";
import { ensureDirectory, explain, PARENT } from "../worker-root.ts";
import { killCgroup, V2Cgroup } from "./cgroup.ts";
import { limitCpu } from "./cpu.ts";
import { forbidSwap, limitMemory } from "./memory.ts";
import { enableControllers, makeRoomForContainers } from "./supervisor.ts";

/** The worker's directory in the v2 hierarchy. */
export class V2Hierarchy implements CgroupHierarchy {
  readonly version = 2;
  readonly #files: CgroupFiles;
  readonly #own: string;
  readonly #parent: string;
  readonly #root: string;

  constructor(own: string, worker: string, files: CgroupFiles) {
    this.#files = files;
    this.#own = own;
    this.#parent = `${own}/${PARENT}`;
    this.#root = `${this.#parent}/${worker}`;
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

  create(name: string, limits: CgroupLimits): Cgroup {
    const directory = `${this.#root}/${name}`;
    this.#files.makeDirectory(directory);
    using undo = new DisposableStack();
    undo.defer(() => this.#files.removeDirectory(directory));
    limitCpu(this.#files, directory, limits.cpus);
    limitMemory(this.#files, directory, limits.memoryBytes);
    limitProcesses(this.#files, directory, limits.processes);
    undo.move();
    return new V2Cgroup(this.#files, directory, limits);
  }

  sweep(prefix = ""): void {
    for (const child of this.#files.children(this.#root)) {
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
