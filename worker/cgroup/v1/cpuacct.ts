import type { CgroupFiles } from "../files.ts";

/** CPU time of all processes together, in nanoseconds; exact, from the scheduler. */
export function readCpuTime(files: CgroupFiles, directory: string): number {
  return Number(files.read(`${directory}/cpuacct.usage`));
}

/** The part spent in the kernel, in nanoseconds; counted in ticks on most kernels, so it can exceed the exact total. */
export function readSystemTime(files: CgroupFiles, directory: string): number {
  return Number(files.read(`${directory}/cpuacct.usage_sys`));
}
