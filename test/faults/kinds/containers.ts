/** What is inside of a worker: its containers, and the threads of its slots. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import type { FaultyWorker } from "../machine/installation.ts";
import type { FaultKind } from "./fault.ts";
import { workerOf } from "./processes.ts";

const PATIENCE_MS = 5000;
const PAUSE_MS = 20;
const targets = [["worker-1"], ["worker-2"]] as const;

export const containerFaults: readonly FaultKind[] = [
  {
    name: "init of a container killed",
    targets,
    plan: (_random, target) => ({
      detail: "the first that is found",
      durationMs: PATIENCE_MS,
      async happen(installation) {
        const worker = workerOf(installation, target);
        return await within(PATIENCE_MS, () => {
          const init = initsOf(worker)[0];
          return init !== undefined && kill(init);
        });
      },
    }),
  },
  {
    name: "thread of a slot crashed",
    targets,
    plan: (_random, target) => ({
      detail: "the first that asks for the time",
      durationMs: PATIENCE_MS,
      async happen(installation) {
        const { crashOrder } = workerOf(installation, target);
        writeFileSync(crashOrder, "");
        const happened = await within(PATIENCE_MS, () => !existsSync(crashOrder));
        await rm(crashOrder, { force: true });
        return happened;
      },
    }),
  },
];

/** Processes that are the first of a container with a program; others wait for theirs. */
function initsOf({ cgroup }: FaultyWorker): number[] {
  return cgroup.processes().filter((pid) => {
    try {
      const [, inside] = /^NSpid:\t\d+\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
      return inside === "1" && readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8") !== "";
    } catch {
      // It has ended meanwhile.
      return false;
    }
  });
}

function kill(pid: number): boolean {
  try {
    return process.kill(pid, "SIGKILL");
  } catch {
    return false;
  }
}

async function within(patienceMs: number, attempt: () => boolean): Promise<boolean> {
  const deadline = performance.now() + patienceMs;
  while (performance.now() < deadline) {
    if (attempt()) return true;
    await delay(PAUSE_MS);
  }
  return false;
}
