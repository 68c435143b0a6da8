import { fieldOf, type CgroupFiles } from "../files.ts";

/** Limit of memory and swap together; there unless the kernel was built or booted without accounting of swap. */
export const MEMORY_AND_SWAP = "memory.memsw.limit_in_bytes";

/**
 * Limit of what sockets buffer, which v1 does not count as memory: without it, one container could fill the buffers that
 * the whole machine has (tcp(7), tcp_mem). There unless the kernel was built without accounting of kernel memory.
 */
export const SOCKET_MEMORY = "memory.kmem.tcp.limit_in_bytes";

/** A quarter of the memory: more than what programs that talk to themselves over a loopback need. */
const SOCKET_SHARE = 4;

/** What this kernel counts besides memory. */
export interface CountedMemory {
  readonly swap: boolean;
  readonly sockets: boolean;
}

/**
 * Limits memory, and memory and swap together, to `bytes`, and what sockets buffer in proportion.
 * @param before what the limit was, Infinity for none: the limit with swap may never be below the one without
 */
export function limitMemory(
  files: CgroupFiles,
  directory: string,
  counted: CountedMemory,
  bytes: number,
  before: number,
): void {
  const names = ["memory.limit_in_bytes", ...(counted.swap ? [MEMORY_AND_SWAP] : [])];
  for (const name of bytes > before ? names.toReversed() : names) files.write(`${directory}/${name}`, String(bytes));
  if (counted.sockets) files.write(`${directory}/${SOCKET_MEMORY}`, String(Math.ceil(bytes / SOCKET_SHARE)));
}

/** Never swaps this cgroup's memory out to stay within its limit; cgroups made below it inherit that. */
export function avoidSwapping(files: CgroupFiles, directory: string): void {
  files.write(`${directory}/memory.swappiness`, "0");
}

/** Most memory in use at once, in bytes. */
export function readMemoryPeak(files: CgroupFiles, directory: string): number {
  return Number(files.read(`${directory}/memory.max_usage_in_bytes`));
}

/** Cache of files on disk that this cgroup has been charged for and that is still there, in bytes; without tmpfs. */
export function readFileCache(files: CgroupFiles, directory: string): number {
  const text = files.read(`${directory}/memory.stat`);
  return Math.max(0, fieldOf(text, "cache") - fieldOf(text, "shmem"));
}

/** Processes killed for want of memory. */
export function readOomKills(files: CgroupFiles, directory: string): number {
  return fieldOf(files.read(`${directory}/memory.oom_control`), "oom_kill");
}
