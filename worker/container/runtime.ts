import type { CgroupHierarchy, CgroupRoot } from "../cgroup/cgroup.ts";
import type { CoreOrder } from "../cgroup/cpuset/divide.ts";
import { detectCgroups } from "../cgroup/detect.ts";
import { openCgroups } from "../cgroup/open.ts";
import { findMaskedPaths } from "./host-facts.ts";
import { probeOverlay } from "./overlay-support.ts";
import type { HostFacts } from "./plan/facts.ts";
import { buildSeccompFilter, defaultSeccompFilter } from "./seccomp/profile.ts";
import { Slot } from "./slot.ts";
import { memoryReserveBytes } from "./slot/machine-memory.ts";
import type { WarmthOptions } from "./slot/waiting-containers.ts";
import { IDS_PER_SLOT } from "./slot/user-namespace.ts";

/** What the runtime of a worker is made from. */
export interface RuntimeOptions {
  /** Where the init layer and the slots' mount points are; made when missing. */
  readonly dataDirectory: string;
  /** The host's first id of slot 0; each slot takes the next 65,536. */
  readonly idBase: number;
  /** Name of the worker's cgroup: unique on this machine, without a slash. */
  readonly worker: string;
  /** What slots prepare ahead of runs; nothing when left out. */
  readonly warmth?: WarmthOptions;
  /** What each slot may use of the machine's cores, by its index; when left out, all that the worker may. */
  readonly cores?: { readonly orders: readonly CoreOrder[]; readonly memoryNodes: string };
}

/** Finds out about the machine what plans depend on. */
export function inspectHost(): HostFacts {
  const filters = { seccomp: defaultSeccompFilter(), buildSeccomp: buildSeccompFilter() };
  return { overlay: probeOverlay(), ...findMaskedPaths(), ...filters, memoryReserveBytes: memoryReserveBytes() };
}

/** The container runtime of one worker: its cgroup, and the slots it opens. */
export class ContainerRuntime implements Disposable {
  readonly #options: RuntimeOptions;
  readonly #cgroupRoot: CgroupRoot;
  readonly #cgroups: CgroupHierarchy;
  readonly #host: HostFacts;
  /** Also when the process ends in a hurry: what is below the worker's cgroup is killed and removed with it. */
  readonly #remove = (): void => this.#cgroups.remove();

  /**
   * Prepares the machine: makes the worker's cgroup, and holds it until it is disposed of or the process ends.
   * @throws {Error} when the machine lacks something; the message names the way out
   */
  constructor(options: RuntimeOptions) {
    // Every process of the worker's: modes in plans are meant as they are written, less what a login would mask.
    process.umask(0o022);
    this.#options = options;
    this.#host = inspectHost();
    this.#cgroupRoot = { layout: detectCgroups(), worker: options.worker };
    this.#cgroups = openCgroups(this.#cgroupRoot);
    this.#cgroups.prepare();
    if (options.cores !== undefined) this.#cgroups.prepareCores();
    process.once("exit", this.#remove);
  }

  /** The version of cgroups that limits come from. */
  get cgroupVersion(): 1 | 2 {
    return this.#cgroups.version;
  }

  /** Opens a slot. Indexes count from 0; none is used twice at once. */
  openSlot(index: number): Promise<Slot> {
    return Slot.open({
      index,
      idBase: this.#options.idBase + index * IDS_PER_SLOT,
      dataDirectory: this.#options.dataDirectory,
      cgroups: { ...this.#cgroupRoot, ...this.#coresOf(index) },
      host: this.#host,
      ...(this.#options.warmth !== undefined && { warmth: this.#options.warmth }),
    });
  }

  #coresOf(index: number): Pick<CgroupRoot, "cores"> {
    const { cores } = this.#options;
    const order = cores?.orders[index];
    if (cores === undefined || order === undefined) return {};
    return { cores: { name: `slot-${index}`, order, memoryNodes: cores.memoryNodes } };
  }

  /**
   * Removes the cgroups of workers that were started in the same place and have ended without a farewell. Everything
   * else of their containers (processes, mounts, scratch) has died with them.
   * @param isWorker tells the names of workers from those of other things, which stay
   * @throws {Error} when one cannot be removed, e.g. because a process in it waits for its disk
   */
  removeAbandoned(isWorker: (name: string) => boolean): void {
    this.#cgroups.removeAbandoned(isWorker);
  }

  /** Removes the worker's cgroup, when all slots are closed. */
  [Symbol.dispose](): void {
    process.off("exit", this.#remove);
    this.#remove();
  }
}
