import type { Cgroup, CgroupEntry, CgroupLimits, CgroupUsage } from "../cgroup.ts";
import type { V1Controller } from "../detect.ts";
import type { CgroupFiles } from "../files.ts";
import { limitProcesses, readProcesses } from "../pids.ts";
import { killProcesses, removeCgroup } from "../removal.ts";
import { limitCpu } from "./cpu.ts";
import { readCpuTime, readSystemTime } from "./cpuacct.ts";
import type { V1Cpuset } from "./cpuset.ts";
import { type CountedMemory, limitMemory, readFileCache, readMemoryPeak, readOomKills } from "./memory.ts";

/** The most that the kernel asks a cgroup for at once and then gives up for want of it: eight pages. */
const CHARGE_BYTES = 32 * 1024;

/** A container's directories in the v1 hierarchies, made and limited by the hierarchy. */
export class V1Cgroup implements Cgroup {
  readonly entry: CgroupEntry;
  readonly #files: CgroupFiles;
  readonly #directories: Readonly<Record<V1Controller, string>>;
  /** Without repetitions, where controllers are mounted together. */
  readonly #distinct: readonly string[];
  readonly #counted: CountedMemory;
  readonly #cpuset: Pick<V1Cpuset, "allow"> | undefined;
  #limits: CgroupLimits | undefined;

  constructor(
    files: CgroupFiles,
    directories: Readonly<Record<V1Controller, string>>,
    counted: CountedMemory,
    cpuset?: Pick<V1Cpuset, "allow">,
  ) {
    this.#files = files;
    this.#directories = directories;
    this.#distinct = distinct(directories);
    this.#counted = counted;
    this.#cpuset = cpuset;
    // init has one thread, so `tasks` does as well as `cgroup.procs`, without the lock that keeps every process of the
    // machine from forking while it is held: 40 µs for the four either way, but a p99 of 1 to 2 ms instead of 5 to 8 ms.
    this.entry = { processFiles: this.#distinct.map((directory) => `${directory}/tasks`) };
  }

  limit(limits: CgroupLimits): void {
    const { cpu, memory, pids } = this.#directories;
    const before = this.#limits;
    this.#cpuset?.allow(limits.cpus);
    if (limits.cpus !== before?.cpus) limitCpu(this.#files, cpu, limits.cpus);
    if (limits.memoryBytes !== before?.memoryBytes) {
      limitMemory(this.#files, memory, this.#counted, limits.memoryBytes, before?.memoryBytes ?? Infinity);
    }
    if (limits.processes !== before?.processes) limitProcesses(this.#files, pids, limits.processes);
    this.#limits = limits;
  }

  openAccounts(): void {
    for (const path of this.#accounts()) this.#files.keepOpen(path);
  }

  cpuTimeNs(): number {
    return readCpuTime(this.#files, this.#directories.cpuacct);
  }

  oomKills(): number {
    return readOomKills(this.#files, this.#directories.memory);
  }

  hasReachedMemoryLimit(): boolean {
    // The counter that is made for this, memory.failcnt, stays 0 on Linux 6.18.
    const { memoryBytes } = this.#limits ?? { memoryBytes: Infinity };
    return readMemoryPeak(this.#files, this.#directories.memory) > memoryBytes - CHARGE_BYTES;
  }

  usage(): CgroupUsage {
    const { memory } = this.#directories;
    const cpuTimeNs = this.cpuTimeNs();
    const systemTimeNs = Math.min(cpuTimeNs, readSystemTime(this.#files, this.#directories.cpuacct));
    const { peak, hits } = readProcesses(this.#files, this.#directories.pids, this.#limits?.processes ?? Infinity);
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
    for (const path of this.#accounts()) this.#files.close(path);
    for (const directory of this.#distinct) removeCgroup(this.#files, directory, () => this.kill());
  }

  /** What {@link usage} reads in any case. */
  #accounts(): string[] {
    const { cpuacct, memory, pids } = this.#directories;
    return [
      ...["cpuacct.usage", "cpuacct.usage_sys"].map((name) => `${cpuacct}/${name}`),
      ...["memory.max_usage_in_bytes", "memory.stat", "memory.oom_control"].map((name) => `${memory}/${name}`),
      `${pids}/pids.peak`,
    ];
  }
}

/** The directories, each once. */
export function distinct(directories: Readonly<Record<V1Controller, string>>): readonly string[] {
  return [...new Set(Object.values(directories))];
}
