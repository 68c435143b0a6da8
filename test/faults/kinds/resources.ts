/** What programs take for granted, and is gone for a while: room on the disk, memory, files, the time of day. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { ProgramClock } from "../machine/clock.ts";
import type { FaultyInstallation } from "../machine/installation.ts";
import type { FaultKind, Target } from "./fault.ts";
import { workerOf } from "./processes.ts";

const MEBIBYTE = 1024 ** 2;
const HOUR_SECONDS = 3600;
/** By how much the clock of Redis jumps, at the most. */
export const REDIS_JUMP_SECONDS = 60;
/** How a worker ends that lacks something. */
const REFUSED = "exit code 1";
const oneWorker = [["worker-1"], ["worker-2"]] as const;

export const resourceFaults: readonly FaultKind[] = [
  {
    name: "disk full",
    // With Redis, which goes on with what it could not write in its memory only: killed then, it would lose that.
    targets: [["disk", "redis"]],
    plan(random) {
      const durationMs = random.whole(1000, 8000);
      return {
        detail: `for ${durationMs} ms`,
        durationMs,
        async happen({ disk, workers }) {
          // One that starts meanwhile says what it cannot write, and tries again.
          using excuses = new DisposableStack();
          for (const { process } of workers) excuses.use(process.excuse(REFUSED));
          await disk.fill();
          await delay(durationMs);
          await disk.free();
          return true;
        },
      };
    },
  },
  {
    name: "memory full",
    targets: oneWorker,
    plan(random, target) {
      const durationMs = random.whole(2000, 8000);
      const left = random.whole(0, 48) * MEBIBYTE;
      return {
        detail: `${left / MEBIBYTE} MiB left for ${durationMs} ms`,
        durationMs,
        async happen(installation) {
          const { cgroup, memoryBytes, process } = workerOf(installation, target);
          // The kernel's choice, and again of the one that is started in its place, if that gets so far.
          using _killed = process.excuse("SIGKILL");
          using _refused = process.excuse(REFUSED);
          const file = join(installation.memory.path, target);
          await cgroup.takeMemory(file, Math.max(0, memoryBytes - cgroup.memory() - left));
          await delay(durationMs);
          await rm(file, { force: true });
          return true;
        },
      };
    },
  },
  {
    name: "data directory deleted",
    targets: [
      ["worker-1", "disk"],
      ["worker-2", "disk"],
    ],
    plan(random, target) {
      const durationMs = random.whole(1000, 8000);
      return {
        detail: `its images back after ${durationMs} ms`,
        durationMs,
        async happen(installation) {
          const { data, process } = workerOf(installation, target);
          // It says so and ends, to be started again on a directory that is whole.
          using _refused = process.excuse(REFUSED);
          await data.delete();
          await delay(durationMs);
          await data.make();
          return true;
        },
      };
    },
  },
  clockJumps("clock of a worker jumps", oneWorker, (installation, target) => workerOf(installation, target).clock),
  clockJumps("clock of the api jumps", [["api"]], ({ apiClock }) => apiClock),
  // Results live by this clock: one that jumps farther than their time to live ends them. And locks: one that was set while
  // it was ahead holds for as much longer, and so does a job that it was set for.
  clockJumps("clock of redis jumps", [["redis"]], ({ redis }) => redis.clock, [5, REDIS_JUMP_SECONDS]),
];

function clockJumps(
  name: string,
  targets: FaultKind["targets"],
  clockOf: (installation: FaultyInstallation, target: Target) => ProgramClock,
  [least, most]: readonly [number, number] = [30, HOUR_SECONDS],
): FaultKind {
  return {
    name,
    targets,
    plan(random, target) {
      const seconds = random.pick([-1, 1]) * random.whole(least, most);
      const durationMs = random.whole(2000, 10_000);
      return {
        detail: `by ${seconds} s, and back after ${durationMs} ms`,
        durationMs,
        async happen(installation) {
          const clock = clockOf(installation, target);
          clock.shift(seconds);
          await delay(durationMs);
          clock.shift(0);
          return true;
        },
      };
    },
  };
}
