import { SystemCallError } from "../../linux/errno.ts";
import { SUPERVISOR, v2Controllers } from "../detect.ts";
import type { CgroupFiles } from "../files.ts";
import { ensureDirectory } from "../worker-root.ts";

/** A process may be forked into the cgroup between the moves and the switch. */
const ATTEMPTS = 10;

/**
 * Lets the children of the worker's own cgroup have limits.
 *
 * On v2 a cgroup has either processes or children with controllers (the "no internal processes" rule; the root of the
 * machine is exempt). So the processes of the worker's own cgroup (the worker, and what was started along with it) move
 * into a leaf beside the containers. Nothing changes for them: the leaf has no limits, and they stay below the cgroup
 * whose limits they had. The leaf stays for as long as they live.
 *
 * @throws {SystemCallError} EBUSY when the cgroup has a process that cannot be moved
 */
export function makeRoomForContainers(files: CgroupFiles, own: string): void {
  for (let attempt = 1; ; attempt++) {
    if (!isRootOfMachine(files, own)) moveProcesses(files, own);
    try {
      enableControllers(files, own);
      return;
    } catch (error) {
      const busy = error instanceof SystemCallError && error.errno === "EBUSY";
      if (!busy || attempt === ATTEMPTS) throw error;
    }
  }
}

/** Gives the children of a cgroup the controllers that containers need. */
export function enableControllers(files: CgroupFiles, directory: string): void {
  files.write(`${directory}/cgroup.subtree_control`, v2Controllers.map((name) => `+${name}`).join(" "));
}

/** Gives the children of a cgroup the choice of cores. */
export function enableCpuset(files: CgroupFiles, directory: string): void {
  files.write(`${directory}/cgroup.subtree_control`, "+cpuset");
}

/** Every cgroup has a type but the root of the machine; the root of a cgroup namespace looks like `/` and has one. */
function isRootOfMachine(files: CgroupFiles, directory: string): boolean {
  return !files.exists(`${directory}/cgroup.type`);
}

function moveProcesses(files: CgroupFiles, own: string): void {
  const processes = files.processes(own);
  if (processes.length === 0) return;
  const leaf = `${own}/${SUPERVISOR}`;
  ensureDirectory(files, leaf);
  for (const pid of processes) {
    // Not shown in our PID namespace (0), so not ours to move: enabling the controllers will say EBUSY.
    if (pid > 0) moveProcess(files, leaf, pid);
  }
}

function moveProcess(files: CgroupFiles, leaf: string, pid: number): void {
  try {
    files.write(`${leaf}/cgroup.procs`, String(pid));
  } catch (error) {
    const ended = error instanceof SystemCallError && error.errno === "ESRCH";
    if (!ended) throw error;
  }
}
