import type { Cgroup, CgroupEntry, CgroupLimits, CgroupUsage } from "../cgroup.ts";
import type { SlotCpuset } from "../cpuset/slot-cpuset.ts";
import type { CgroupFiles } from "../files.ts";
import { limitProcesses, readProcesses } from "../pids.ts";
import { removeCgroup } from "../removal.ts";
import { limitCpu, readCpuTimes } from "./cpu.ts";
import { limitMemory, readFileCache, readMemoryPeak, readMemoryShortages, readOomKills } from "./memory.ts";

/** Kills every process in a cgroup and below it, all at once, also those being forked (Linux 5.14). */
export function killCgroup(files: CgroupFiles, directory: string): void {
  files.write(`${directory}/cgroup.kill`, "1");
}

/** A container's directory in the v2 hierarchy, made and limited by the hierarchy. */
export class V2Cgroup implements Cgroup {
  readonly entry: CgroupEntry;
  readonly #files: CgroupFiles;
  readonly #directory: string;
  readonly #cpuset: Pick<SlotCpuset, "allow"> | undefined;
  #limits: CgroupLimits | undefined;

  constructor(files: CgroupFiles, directory: string, cpuset?: Pick<SlotCpuset, "allow">) {
    this.#files = files;
    this.#directory = directory;
    this.entry = { directory };
    this.#cpuset = cpuset;
  }

  limit(limits: CgroupLimits): void {
    const before = this.#limits;
    this.#cpuset?.allow(limits.cpus);
    if (limits.cpus !== before?.cpus) limitCpu(this.#files, this.#directory, limits.cpus);
    if (limits.memoryBytes !== before?.memoryBytes) limitMemory(this.#files, this.#directory, limits.memoryBytes);
    if (limits.processes !== before?.processes) limitProcesses(this.#files, this.#directory, limits.processes);
    this.#limits = limits;
  }

  openAccounts(): void {
    for (const path of this.#accounts()) this.#files.keepOpen(path);
  }

  cpuTimeNs(): number {
    return readCpuTimes(this.#files, this.#directory).total;
  }

  oomKills(): number {
    return readOomKills(this.#files, this.#directory);
  }

  hasReachedMemoryLimit(): boolean {
    return readMemoryShortages(this.#files, this.#directory) > 0;
  }

  usage(): CgroupUsage {
    const { total, user, system } = readCpuTimes(this.#files, this.#directory);
    const { peak, hits } = readProcesses(this.#files, this.#directory, this.#limits?.processes ?? Infinity);
    return {
      cpuTimeNs: total,
      userTimeNs: user,
      systemTimeNs: system,
      memoryPeakBytes: Math.max(
        0,
        readMemoryPeak(this.#files, this.#directory) - readFileCache(this.#files, this.#directory),
      ),
      processesPeak: peak,
      oomKills: this.oomKills(),
      processLimitHits: hits,
    };
  }

  kill(): void {
    killCgroup(this.#files, this.#directory);
  }

  [Symbol.dispose](): void {
    for (const path of this.#accounts()) this.#files.close(path);
    removeCgroup(this.#files, this.#directory, () => this.kill());
  }

  /** What {@link usage} reads in any case. */
  #accounts(): string[] {
    const names = ["cpu.stat", "memory.peak", "memory.stat", "memory.events", "pids.peak"];
    return names.map((name) => `${this.#directory}/${name}`);
  }
}
