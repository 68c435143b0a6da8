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

/**
 * Where Node keeps what it makes of a source file, types stripped; `npm run api` and `npm run worker` say the same. Without
 * it every thread that loads TypeScript has a compiler of its own, in WebAssembly, for as long as it lives: 45 MB of a
 * worker with two slots, and half of the CPU time of its start. The first start of a checkout fills it. It is beside the
 * packages, because whoever may write there decides what runs here: the system's /tmp is everybody's.
 */
const COMPILED = { NODE_COMPILE_CACHE: fromRoot("node_modules/.cache/node-compile-cache") };

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
    environment: { ...COMPILED, ...environment },
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
    // As `npm run worker`. V8's young generation grows to 12 MB instead of 48; what the start left is collected.
    command: [process.execPath, "--max-semi-space-size=4", "--expose-gc", fromRoot("worker/main.ts")],
    environment: { ...COMPILED, ...environment },
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
