/** What programs take for granted, and is gone for a while: room on the disk, memory, files, the time of day. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type FaultKind } from "./fault.ts";
import { workerOf } from "./processes.ts";

const MEBIBYTE = 1024 ** 2;
const HOUR_SECONDS = 3600;
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
        async happen({ disk }) {
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
          const { cgroup, memoryBytes } = workerOf(installation, target);
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
          const { data } = workerOf(installation, target);
          await data.delete();
          await delay(durationMs);
          await data.make();
          return true;
        },
      };
    },
  },
  {
    name: "clock of a worker jumps",
    targets: oneWorker,
    plan(random, target) {
      const seconds = random.pick([-1, 1]) * random.whole(30, HOUR_SECONDS);
      const durationMs = random.whole(2000, 10_000);
      return {
        detail: `by ${seconds} s, and back after ${durationMs} ms`,
        durationMs,
        async happen(installation) {
          const { clock } = workerOf(installation, target);
          clock.shift(seconds);
          await delay(durationMs);
          clock.shift(0);
          return true;
        },
      };
    },
  },
  {
    name: "clock of redis jumps",
    targets: [["redis"]],
    plan(random) {
      // Results live by this clock: one that jumps farther than their time to live ends them.
      const seconds = random.pick([-1, 1]) * random.whole(5, 300);
      const durationMs = random.whole(2000, 10_000);
      return {
        detail: `by ${seconds} s, and back after ${durationMs} ms`,
        durationMs,
        async happen({ redis }) {
          redis.clock.shift(seconds);
          await delay(durationMs);
          redis.clock.shift(0);
          return true;
        },
      };
    },
  },
];
