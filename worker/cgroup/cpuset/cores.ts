import { readFileSync } from "node:fs";
import { parseCpuList } from "./cpu-list.ts";

/** Where containers of this process may run. */
export interface Cores {
  /** Numbers of CPUs: one of each core first, in ascending order, then the cores' further threads (SMT). */
  readonly order: readonly number[];
  /** NUMA nodes whose memory they may have, as a list of the kernel's. Which one it is, the kernel chooses: the nearest. */
  readonly memoryNodes: string;
}

/** Files that describe process and machine; others in tests. */
export interface CoreSources {
  /** proc_pid_status(5) */
  readonly status: string;
  /** Directories `cpuN`, see Documentation/admin-guide/cputopology.rst. */
  readonly cpus: string;
}

const ofThisProcess: CoreSources = { status: "/proc/self/status", cpus: "/sys/devices/system/cpu" };

/** Finds the cores that this process may use: what its affinity, its cpuset and the machine leave it. */
export function findCores({ status, cpus }: CoreSources = ofThisProcess): Cores {
  const text = readFileSync(status, "utf8");
  const field = (name: string): string => new RegExp(`^${name}:\\s+(\\S+)$`, "m").exec(text)?.[1] ?? "";
  const allowed = parseCpuList(field("Cpus_allowed_list"));
  const rankOf = (cpu: number): number =>
    readSiblings(cpus, cpu)
      .filter((sibling) => allowed.includes(sibling))
      .indexOf(cpu);
  const ranks = new Map(allowed.map((cpu) => [cpu, rankOf(cpu)]));
  const order = allowed.toSorted((one, other) => (ranks.get(one) ?? 0) - (ranks.get(other) ?? 0) || one - other);
  return { order, memoryNodes: field("Mems_allowed_list") };
}

/** The threads of a CPU's core, itself among them. */
function readSiblings(cpus: string, cpu: number): readonly number[] {
  try {
    return parseCpuList(readFileSync(`${cpus}/cpu${cpu}/topology/thread_siblings_list`, "utf8"));
  } catch {
    // Without sysfs nothing is known of threads.
    return [cpu];
  }
}
