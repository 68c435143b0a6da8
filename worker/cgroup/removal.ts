import { constants } from "node:os";
import { SystemCallError } from "../linux/errno.ts";
import type { CgroupFiles } from "./files.ts";

/** How long processes that were killed may take to be gone: one in uninterruptible sleep waits for its disk. */
const DEADLINE_MS = 10_000;

const clock = new Int32Array(new SharedArrayBuffer(4));

/** Sends SIGKILL to every process in these cgroups and to those they fork meanwhile; a killed one forks no more. */
export function killProcesses(files: CgroupFiles, directories: readonly string[]): void {
  const killed = new Set<number>();
  for (;;) {
    const found = directories.flatMap((directory) => files.processes(directory));
    // kill(0) would end our own process group: 0 stands for a process that our PID namespace does not show.
    const fresh = found.filter((pid) => pid > 0 && pid !== process.pid && !killed.has(pid));
    if (fresh.length === 0) return;
    for (const pid of fresh) {
      killed.add(pid);
      kill(pid);
    }
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, constants.signals.SIGKILL);
  } catch (error) {
    const ended = error instanceof Error && "code" in error && error.code === "ESRCH";
    if (!ended) throw error;
  }
}

/** A cgroup and everything below it, deepest first: the order in which they can be removed. */
export function subtree(files: CgroupFiles, directory: string): readonly string[] {
  return [...files.children(directory).flatMap((child) => subtree(files, child)), directory];
}

/**
 * Removes a cgroup. The kernel answers EBUSY while a process is in it: then `killAll` is called and it is tried again
 * until the processes are gone, for up to {@link DEADLINE_MS}. There is no event for that on v1, so this looks again
 * after 0.1 ms, 0.2 ms, and so on up to 10 ms; as a rule the first attempt succeeds.
 * @throws {SystemCallError} EBUSY when processes outlive the deadline
 */
export function removeCgroup(files: CgroupFiles, directory: string, killAll: () => void): void {
  const deadline = performance.now() + DEADLINE_MS;
  for (let pauseMs = 0.1; ; pauseMs = Math.min(10, pauseMs * 2)) {
    try {
      files.removeDirectory(directory);
      return;
    } catch (error) {
      const busy = error instanceof SystemCallError && error.errno === "EBUSY";
      if (!busy || performance.now() > deadline) throw error;
    }
    killAll();
    Atomics.wait(clock, 0, 0, pauseMs);
  }
}

/** Removes a cgroup that others may share: it stays as long as something is in it. */
export function removeUnlessUsed(files: CgroupFiles, directory: string): void {
  try {
    files.removeDirectory(directory);
  } catch (error) {
    const used = error instanceof SystemCallError && (error.errno === "EBUSY" || error.errno === "ENOTEMPTY");
    if (!used) throw error;
  }
}
