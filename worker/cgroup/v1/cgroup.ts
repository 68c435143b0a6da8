import type { Cgroup, CgroupEntry, CgroupLimits, CgroupUsage } from "../cgroup.ts";
import type { V1Controller } from "../detect.ts";
import type { CgroupFiles } from "../files.ts";
import { readProcesses } from "../pids.ts";
import { killProcesses, removeCgroup } from "../removal.ts";
import { readCpuTime, readSystemTime } from "./cpuacct.ts";
import { readFileCache, readMemoryPeak, readOomKills } from "./memory.ts";

/** The most that the kernel asks a cgroup for at once and then gives up for want of it: eight pages. */
const CHARGE_BYTES = 32 * 1024;

/** A container's directories in the v1 hierarchies, made and limited by the hierarchy. */
export class V1Cgroup implements Cgroup {
  readonly entry: CgroupEntry;
  readonly #files: CgroupFiles;
  readonly #directories: Readonly<Record<V1Controller, string>>;
  /** Without repetitions, where controllers are mounted together. */
  readonly #distinct: readonly string[];
  readonly #processes: number;
  readonly #memoryBytes: number;

  constructor(files: CgroupFiles, directories: Readonly<Record<V1Controller, string>>, limits: CgroupLimits) {
    this.#files = files;
    this.#directories = directories;
    this.#distinct = distinct(directories);
    this.#processes = limits.processes;
    this.#memoryBytes = limits.memoryBytes;
    // init has one thread, so `tasks` does as well as `cgroup.procs`, without the lock that keeps every process of the
    // machine from forking while it is held: 40 µs for the four either way, but a p99 of 1 to 2 ms instead of 5 to 8 ms.
    this.entry = { processFiles: this.#distinct.map((directory) => `${directory}/tasks`) };
  }

  cpuTimeNs(): number {
    return readCpuTime(this.#files, this.#directories.cpuacct);
  }

  oomKills(): number {
    return readOomKills(this.#files, this.#directories.memory);
  }

  hasReachedMemoryLimit(): boolean {
    // The counter that is made for this, memory.failcnt, stays 0 on Linux 6.18.
    return readMemoryPeak(this.#files, this.#directories.memory) > this.#memoryBytes - CHARGE_BYTES;
  }

  usage(): CgroupUsage {
    const { memory } = this.#directories;
    const cpuTimeNs = this.cpuTimeNs();
    const systemTimeNs = Math.min(cpuTimeNs, readSystemTime(this.#files, this.#directories.cpuacct));
    const { peak, hits } = readProcesses(this.#files, this.#directories.pids, this.#processes);
    return {
      cpuTimeNs,
      userTimeNs: cpuTimeNs - systemTimeNs,
      systemTimeNs,
      memoryPeakBytes: Math.max(0, readMemoryPeak(this.#files, memory) - readFileCache(this.#files, memory)),
      processesPeak: peak,
      oomKills: this.oomKills(),
      processLimitHits: hits,
    };
  }

  kill(): void {
    // In all hierarchies: a process that was interrupted while it joined is in some of them only.
    killProcesses(this.#files, this.#distinct);
  }

  [Symbol.dispose](): void {
    for (const directory of this.#distinct) removeCgroup(this.#files, directory, () => this.kill());
  }
}

/** The directories, each once. */
export function distinct(directories: Readonly<Record<V1Controller, string>>): readonly string[] {
  return [...new Set(Object.values(directories))];
}
