import { fieldOf, type CgroupFiles } from "../files.ts";

/** Limits memory to `bytes`; at the limit the kernel ends the whole container, not a process of its choice. */
export function limitMemory(files: CgroupFiles, directory: string, bytes: number): void {
  files.write(`${directory}/memory.max`, String(bytes));
  files.write(`${directory}/memory.oom.group`, "1");
}

/** No swap for this cgroup and all below it; there is nothing to forbid where the kernel cannot swap. */
export function forbidSwap(files: CgroupFiles, directory: string): void {
  const file = `${directory}/memory.swap.max`;
  if (files.exists(file)) files.write(file, "0");
}

/** Most memory in use at once, in bytes. */
export function readMemoryPeak(files: CgroupFiles, directory: string): number {
  return Number(files.read(`${directory}/memory.peak`));
}

/** Cache of files on disk that this cgroup has been charged for and that is still there, in bytes; without tmpfs. */
export function readFileCache(files: CgroupFiles, directory: string): number {
  const text = files.read(`${directory}/memory.stat`);
  return Math.max(0, fieldOf(text, "file") - fieldOf(text, "shmem"));
}

/** How often memory ran out at the limit, with no other memory left to be given up. */
export function readMemoryShortages(files: CgroupFiles, directory: string): number {
  return fieldOf(files.read(`${directory}/memory.events`), "oom");
}

/** Processes killed for want of memory. */
export function readOomKills(files: CgroupFiles, directory: string): number {
  return fieldOf(files.read(`${directory}/memory.events`), "oom_kill");
}
