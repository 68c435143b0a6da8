import type { CgroupFiles } from "../files.ts";

/** The kernel's default for cpu.cfs_period_us, in microseconds: it need not be written. */
const PERIOD_US = 100_000;
/** The smallest quota the kernel takes, in microseconds. */
const LEAST_QUOTA_US = 1000;

/** Limits CPU bandwidth to `cpus` cores. EINVAL means: more than the worker's own cgroup may use. */
export function limitCpu(files: CgroupFiles, directory: string, cpus: number): void {
  const quota = Math.max(LEAST_QUOTA_US, Math.round(cpus * PERIOD_US));
  files.write(`${directory}/cpu.cfs_quota_us`, String(quota));
}
