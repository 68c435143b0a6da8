import type { CgroupFiles } from "../files.ts";
import { formatCpuList } from "./cpu-list.ts";
import type { CoreOrder } from "./divide.ts";

/** A slot's cores, and the cgroup that holds its containers to them. Plain data. */
export interface SlotCores {
  /** Name of the cgroup; unique among those of the worker, without a slash. */
  readonly name: string;
  readonly order: CoreOrder;
  /** See `Cores`. */
  readonly memoryNodes: string;
}

/**
 * The cores that a slot's cgroup has at the moment: its own, but while a container is there that may use more. Few do,
 * so that as a rule nothing is written for a container (9 µs when it is).
 */
export class SlotCpuset {
  readonly #files: CgroupFiles;
  readonly #file: string;
  readonly #order: CoreOrder;
  #count = 0;

  constructor(files: CgroupFiles, directory: string, { order }: SlotCores) {
    this.#files = files;
    this.#file = `${directory}/cpuset.cpus`;
    this.#order = order;
  }

  /** Gives the slot as many cores as a container may use. @param cpus its bandwidth in cores, as in `CgroupLimits` */
  allow(cpus: number): void {
    const count = Math.min(Math.ceil(cpus), this.#order.length);
    if (count === this.#count) return;
    this.#files.write(this.#file, formatCpuList(this.#order.slice(0, count)));
    this.#count = count;
  }
}
