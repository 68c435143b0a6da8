import { fieldOf, type CgroupFiles } from "../files.ts";

/** The kernel's default period, in microseconds. */
const PERIOD_US = 100_000;
/** The smallest quota the kernel takes, in microseconds. */
const LEAST_QUOTA_US = 1000;
const NS_PER_US = 1000;

/** Limits CPU bandwidth to `cpus` cores; the period is left as it is. */
export function limitCpu(files: CgroupFiles, directory: string, cpus: number): void {
  const quota = Math.max(LEAST_QUOTA_US, Math.round(cpus * PERIOD_US));
  files.write(`${directory}/cpu.max`, String(quota));
}

/** CPU time of all processes together, in nanoseconds, counted in microseconds. */
export function readCpuTimes(files: CgroupFiles, directory: string): { total: number; user: number; system: number } {
  const text = files.read(`${directory}/cpu.stat`);
  const total = fieldOf(text, "usage_usec") * NS_PER_US;
  // The kernel makes the two add up to the total, but for rounding.
  const system = Math.min(total, fieldOf(text, "system_usec") * NS_PER_US);
  return { total, user: total - system, system };
}
