/** A Redis that is there, and slow. */
import { setTimeout as delay } from "node:timers/promises";
import { Redis } from "ioredis";
import type { FaultKind } from "./fault.ts";

const targets = [["redis"]] as const;

export const redisFaults: readonly FaultKind[] = [
  {
    name: "redis lets all clients wait",
    targets,
    plan(random) {
      const durationMs = random.whole(500, 6000);
      return {
        detail: `CLIENT PAUSE ${durationMs} ALL`,
        durationMs,
        async happen({ redisUrl }) {
          const redis = new Redis(redisUrl, { maxRetriesPerRequest: 0, retryStrategy: () => null, lazyConnect: true });
          redis.on("error", () => undefined);
          try {
            await redis.connect();
            await redis.client("PAUSE", durationMs, "ALL");
          } catch {
            return false;
          } finally {
            redis.disconnect();
          }
          await delay(durationMs);
          return true;
        },
      };
    },
  },
  {
    name: "redis starved of CPU",
    targets,
    plan(random) {
      const durationMs = random.whole(3000, 10_000);
      const cores = random.between(0.01, 0.05);
      return {
        detail: `${cores.toFixed(3)} cores for ${durationMs} ms`,
        durationMs,
        async happen({ redis }) {
          redis.cgroup.limitCpu(cores);
          await delay(durationMs);
          redis.cgroup.limitCpu(undefined);
          return true;
        },
      };
    },
  },
];
