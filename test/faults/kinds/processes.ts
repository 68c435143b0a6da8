/** Programs that are killed, or stopped as a machine's that is overloaded or being moved. */
import { setTimeout as delay } from "node:timers/promises";
import type { FaultyInstallation } from "../machine/installation.ts";
import type { KeptProcess } from "../machine/kept-process.ts";
import type { FaultKind, Target } from "./fault.ts";

const SECOND_MS = 1000;

export const processFaults: readonly FaultKind[] = [
  killed("worker killed", [["worker-1"], ["worker-2"]], [250, 3000]),
  killed("both workers killed", [["worker-1", "worker-2"]], [250, 3000]),
  killed("api killed", [["api"]], [SECOND_MS, SECOND_MS]),
  killed("redis killed, back after 1 s", [["redis", "disk"]], [SECOND_MS, SECOND_MS]),
  killed("redis killed, back after 30 s", [["redis", "disk"]], [30 * SECOND_MS, 30 * SECOND_MS]),
  stopped("worker stopped for less than its locks hold", [["worker-1"], ["worker-2"]], [1000, 8000]),
  // Longer than a lock holds: its jobs are taken up by the other one, and it goes on with them all the same.
  stopped("worker stopped for longer than its locks hold", [["worker-1"], ["worker-2"]], [14_000, 25_000]),
  stopped("api stopped", [["api"]], [1000, 10_000]),
  stopped("redis stopped", [["redis"]], [1000, 15_000]),
];

function killed(name: string, targets: FaultKind["targets"], [least, most]: readonly [number, number]): FaultKind {
  return {
    name,
    targets,
    plan(random, target) {
      const backAfterMs = random.whole(least, most);
      const isAll = targets.some((set) => set.includes("worker-1") && set.includes("worker-2"));
      return {
        detail: `back after ${backAfterMs} ms`,
        durationMs: backAfterMs,
        async happen(installation) {
          const victims = isAll
            ? installation.workers.map(({ process }) => process)
            : [processOf(installation, target)];
          const done = await Promise.all(victims.map((victim) => victim.kill(backAfterMs)));
          return done.includes(true);
        },
      };
    },
  };
}

function stopped(name: string, targets: FaultKind["targets"], [least, most]: readonly [number, number]): FaultKind {
  return {
    name,
    targets,
    plan(random, target) {
      const durationMs = random.whole(least, most);
      return {
        detail: `for ${durationMs} ms`,
        durationMs,
        async happen(installation) {
          const victim = processOf(installation, target);
          if (!victim.signal("SIGSTOP")) return false;
          await delay(durationMs);
          return victim.signal("SIGCONT");
        },
      };
    },
  };
}

/** The program that a target is. */
export function processOf(installation: FaultyInstallation, target: Target): KeptProcess {
  switch (target) {
    case "api":
      return installation.api;
    case "redis":
      return installation.redis.process;
    case "worker-1":
    case "worker-2":
      return workerOf(installation, target).process;
    case "disk":
      throw new RangeError("a disk is no program");
    default:
      return target satisfies never;
  }
}

export function workerOf({ workers }: FaultyInstallation, target: Target): FaultyInstallation["workers"][number] {
  const worker = workers.find(({ process }) => process.name === target);
  if (worker === undefined) throw new RangeError(`${target} is no worker`);
  return worker;
}
