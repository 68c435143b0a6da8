import { SlotCpuset, type SlotCores } from "../cpuset/slot-cpuset.ts";
import type { CgroupFiles } from "../files.ts";
import { removeCgroup } from "../removal.ts";
import { ensureDirectory, WorkerRoot } from "../worker-root.ts";

/**
 * The worker's directories in the hierarchy of cpuset: one for each slot, in which the slot's thread is.
 *
 * In v1 every thread is in a cgroup of its own choice, and what it starts is born there. So a container needs neither a
 * cgroup in this hierarchy nor a step to join it, and no process of it is ever moved from one core to another.
 */
export class V1Cpuset {
  readonly root: WorkerRoot;
  readonly #files: CgroupFiles;
  readonly #own: string;
  readonly #slot: { readonly directory: string; readonly cores: SlotCores; readonly cpuset: SlotCpuset } | undefined;

  constructor(files: CgroupFiles, own: string, worker: string, cores: SlotCores | undefined) {
    this.#files = files;
    this.#own = own;
    this.root = new WorkerRoot(files, own, worker);
    if (cores === undefined) return;
    const directory = `${this.root.path}/${cores.name}`;
    this.#slot = { directory, cores, cpuset: new SlotCpuset(files, directory, cores) };
  }

  /** A new cpuset has neither cores nor memory, and takes no thread before it has both; its parent must have them, too. */
  prepare(): void {
    this.root.hold();
    for (const directory of [this.root.parent, this.root.path]) {
      for (const name of ["cpuset.cpus", "cpuset.mems"]) {
        this.#files.write(`${directory}/${name}`, this.#files.read(`${this.#own}/${name}`).trim());
      }
    }
  }

  /** Makes the slot's directory and puts the calling thread into it. */
  occupy(): void {
    if (this.#slot === undefined) return;
    const { directory, cores, cpuset } = this.#slot;
    ensureDirectory(this.#files, directory);
    this.#files.write(`${directory}/cpuset.mems`, cores.memoryNodes);
    cpuset.allow(1);
    this.#files.write(`${directory}/tasks`, "0");
  }

  /** See {@link SlotCpuset.allow}. */
  allow(cpus: number): void {
    this.#slot?.cpuset.allow(cpus);
  }

  /** Removes the slots' directories. Threads that are in them still go back to where they came from. */
  sweep(): void {
    for (const directory of this.#files.children(this.root.path)) {
      removeCgroup(this.#files, directory, () => {
        for (const thread of this.#files.threads(directory)) this.#files.moveThread(thread, this.#own);
      });
    }
  }

  /** Removes all of the worker's. */
  remove(): void {
    this.sweep();
    this.root.remove(() => this.sweep());
  }
}
