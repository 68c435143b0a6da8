/**
 * Control groups: what a container may use, what it used, and a way to end all of it.
 *
 * A worker owns one cgroup per hierarchy, nested under the one it was started in, and makes one below it for each
 * container:
 *
 *     v1, in each of cpu, cpuacct, memory, pids        v2
 *     <own>/                    the worker itself      <own>/
 *       longshore/                                       longshore-supervisor/    the worker itself
 *         <worker>/             no swapping              longshore/
 *           <container>/        the limits                 <worker>/              no swap
 *                                                            <slot>/              its cores, if it has some
 *     v1, in cpuset, where slots have cores                    <container>/         the limits
 *     <own>/longshore/<worker>/
 *       <slot>/                 its cores; the slot's thread, and so what it starts
 *
 * The main thread detects the layout and prepares the worker's cgroup once; the layout is plain data, with which each
 * slot's thread opens the hierarchy for itself. Everything is synchronous: a call is a few microseconds of kernel time.
 *
 * Source: Documentation/admin-guide/cgroup-v1/ and cgroup-v2.rst of the kernel.
 */
import type { SlotCores } from "./cpuset/slot-cpuset.ts";
import type { CgroupLayout } from "./detect.ts";

/** Where a worker's cgroup is. Plain data: it is handed to the slots' threads, which open it for themselves. */
export interface CgroupRoot {
  readonly layout: CgroupLayout;
  /** Name of the worker, without a slash; no two in the same place may have the same at once. */
  readonly worker: string;
  /** The cores of the slot that opens it; every core that the worker may use when left out. */
  readonly cores?: SlotCores;
}

/** What the processes of a container may use together. */
export interface CgroupLimits {
  /** CPU bandwidth in cores, at least 0.01; fractions allowed. */
  readonly cpus: number;
  /** Anonymous memory, page cache, tmpfs and kernel memory, in bytes; there is no swap beyond it. */
  readonly memoryBytes: number;
  /** Processes and threads alive at once, besides the container's init. */
  readonly processes: number;
}

/** What the processes of a container have used so far. */
export interface CgroupUsage {
  /** CPU time of all processes together, in nanoseconds. */
  readonly cpuTimeNs: number;
  /** The share of `cpuTimeNs` spent in user mode. Sampled by the timer's tick (1 to 10 ms) on most kernels. */
  readonly userTimeNs: number;
  /** The rest of `cpuTimeNs`. */
  readonly systemTimeNs: number;
  /**
   * Most memory in use at once, in bytes, less the cache of files on disk that is left at the end. That cache is charged
   * to whichever container reads a file first, and a later one finds it there: what is left without it is the same for
   * both. Under want of memory the cache is given up first, so that the peak is then that of the rest.
   */
  readonly memoryPeakBytes: number;
  /** Most processes and threads alive at once, the container's init among them; null before Linux 6.1. */
  readonly processesPeak: number | null;
  /** Processes killed for want of memory. */
  readonly oomKills: number;
  /** How often a fork or a new thread failed because of the limit. */
  readonly processLimitHits: number;
}

/** How a process gets into a cgroup. */
export type CgroupEntry =
  /** v1: it writes `0` to each of these files, before it has a second thread. */
  | { readonly processFiles: readonly string[] }
  /** v2: it is cloned into the directory (clone3(2), CLONE_INTO_CGROUP). */
  | { readonly directory: string };

/** The cgroup of one container. Disposing of it kills what is left in it and removes it. */
export interface Cgroup extends Disposable {
  readonly entry: CgroupEntry;
  /** Sets the limits, or others; what is so already is not written again. To be called before the program runs. */
  limit(limits: CgroupLimits): void;
  /** Makes ready for {@link usage}: a result waits for that, and not for this. */
  openAccounts(): void;
  /** CPU time of all its processes together so far, in nanoseconds. */
  cpuTimeNs(): number;
  /**
   * Processes killed for want of memory so far: v1 kills one at a time, v2 the whole container at once (and counts the
   * first of them twice).
   */
  oomKills(): number;
  /**
   * Whether memory ran out within the limit of this cgroup. With {@link oomKills} and without this, it ran out in a cgroup
   * above it, or on the machine.
   */
  hasReachedMemoryLimit(): boolean;
  usage(): CgroupUsage;
  /** Sends SIGKILL to every process in it, also to stopped ones and those forked meanwhile. Does not wait for them. */
  kill(): void;
}

/** A worker's cgroup and what is in it. Methods throw `SystemCallError`, whose call names the file. */
export interface CgroupHierarchy {
  readonly version: 1 | 2;
  /**
   * Makes the worker's cgroup and holds it, so that no other process takes it for abandoned while this one lives. Once
   * per process, on the main thread, before `create`. On v2 the processes of the worker's own cgroup move into a leaf.
   * @throws {Error} when the worker may not, or another process holds it: the message names the way out
   */
  prepare(): void;
  /**
   * Makes it possible for slots to have cores of their own. Once per process, after `prepare`; only where the layout has
   * the controller cpuset.
   * @throws {Error} when the worker may not: the message names the way out
   */
  prepareCores(): void;
  /** Makes the place of a slot with cores of its own (`CgroupRoot.cores`). In the slot's thread, before `create`. */
  occupy(): void;
  /**
   * Makes a container's cgroup with its limits.
   * @param name unique among those of the worker, without a slash
   */
  create(name: string, limits?: CgroupLimits): Cgroup;
  /**
   * Kills and removes what is below the worker's cgroup.
   * @param prefix only cgroups whose names begin so: what a dead thread left
   */
  sweep(prefix?: string): void;
  /**
   * Kills and removes what workers left that were started in the same place and have ended without a farewell: cgroups
   * beside this one that nobody holds.
   * @param isWorker tells the names of workers from those of other things, which stay
   * @throws {Error} when one cannot be removed, e.g. because a process in it waits for its disk
   */
  removeAbandoned(isWorker: (name: string) => boolean): void;
  /** Removes the worker's cgroup with all that is below it, at shutdown, and lets go of it. */
  remove(): void;
}
