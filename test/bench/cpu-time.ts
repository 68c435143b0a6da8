import { readFileSync } from "node:fs";

/** Ticks of proc_pid_stat(5) in a second: the kernel's USER_HZ, the same on all of its architectures that Node runs on. */
const TICKS_PER_SECOND = 100;

/** CPU time of this process with all its threads, and of the children that have ended, in milliseconds. */
export function cpuTimeMs(): number {
  // utime, stime, cutime and cstime are fields 14 to 17; those before them end with the name, which may hold anything.
  const fields = readFileSync("/proc/self/stat", "utf8")
    .replace(/^.*\) /s, "")
    .split(" ");
  const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
  return (ticks * 1000) / TICKS_PER_SECOND;
}
