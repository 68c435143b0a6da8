/** API and worker, as programs that the supervisor keeps running. */
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Config } from "../../shared/config.ts";
import { connectRedis } from "../../shared/redis.ts";
import { WorkerRegistry } from "../../shared/workers.ts";
import type { Program } from "./supervisor.ts";

const ASK_EVERY_MS = 50;
/** What a process needs after its work is over: to answer, to withdraw, to close its connections. */
const FAREWELL_MS = 10_000;

type Environment = Readonly<Record<string, string>>;

/** Where clients on this machine find the API. */
export function apiUrl({ host, port }: Config): string {
  // An address that stands for all of them is not one to connect to.
  const reachable = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host;
  return `http://${reachable.includes(":") ? `[${reachable}]` : reachable}:${port}`;
}

/** The HTTP front; ready when it answers. */
export function apiProgram(config: Config, environment: Environment): Program {
  return {
    name: "api",
    command: [process.execPath, fromRoot("services/api/main.ts")],
    environment,
    output: "show",
    deathSignal: "SIGKILL",
    stopTimeoutMs: FAREWELL_MS,
    ready: (signal) => answers(`${apiUrl(config)}/healthz`, signal),
  };
}

/** A worker; ready when Redis knows of it. */
export function workerProgram(config: Config, environment: Environment): Program {
  const redisUrl = environment["REDIS_URL"] ?? config.redisUrl;
  return {
    name: "worker",
    command: [process.execPath, fromRoot("worker/main.ts")],
    environment,
    output: "show",
    deathSignal: "SIGKILL",
    stopTimeoutMs: config.drainMs + FAREWELL_MS,
    ready: (signal) => announcesItself(redisUrl, config.queue, signal),
  };
}

function fromRoot(path: string): string {
  return join(import.meta.dirname, "../..", path);
}

/** Asks until the answer is 200. */
async function answers(url: string, signal: AbortSignal): Promise<void> {
  for (;;) {
    const response = await fetch(url, { signal }).catch(() => undefined);
    await response?.body?.cancel();
    if (response?.status === 200) return;
    await delay(ASK_EVERY_MS, undefined, { signal });
  }
}

/** Asks until a worker is alive that was not so before: the record of one that was killed lives for some seconds. */
async function announcesItself(redisUrl: string, queue: string, signal: AbortSignal): Promise<void> {
  const startedAt = Date.now();
  // Redis was reached a moment ago; should it be away, commands wait for it.
  const redis = connectRedis(redisUrl, "consumer", () => undefined);
  try {
    const registry = new WorkerRegistry(redis, queue);
    for (;;) {
      const workers = await registry.list();
      if (workers.some((worker) => Date.parse(worker.startedAt) >= startedAt)) return;
      await delay(ASK_EVERY_MS, undefined, { signal });
    }
  } finally {
    redis.disconnect();
  }
}
