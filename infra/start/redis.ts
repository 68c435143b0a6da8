/**
 * The redis-server that `npm start` brings along when REDIS_URL names none.
 *
 * It listens on loopback with a password of its own making, so no other user of the machine can add jobs, and keeps an
 * append-only file under the data directory. A job that was accepted survives the end of every process at once, and about
 * a second of jobs is lost only when the machine itself loses power (sync-appended.ts says how). Whoever wants
 * `appendfsync always` runs their own Redis, which then does a tenth of the work, and sets REDIS_URL.
 */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { totalmem } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { freePort } from "./ports.ts";
import type { Program } from "./supervisor.ts";

/** flock(1) ends with this when another process holds the lock: EX_TEMPFAIL of sysexits.h. */
const LOCKED_EXIT_CODE = 75;
const ASK_EVERY_MS = 20;

/**
 * What it may take of the machine's memory: containers are to have some. Before that is used up the API refuses jobs;
 * without a bound the kernel would kill it, or what it likes, whenever programs print much.
 */
const MEMORY_SHARE = 0.25;

/** A redis-server ready to be started, and where it will be found. */
export interface OwnRedis {
  readonly program: Program;
  readonly url: string;
  /** Where its data is. */
  readonly directory: string;
}

/** Describes a redis-server, on a free port, that keeps its data under `dataDirectory`. */
export async function prepareRedis(dataDirectory: string): Promise<OwnRedis> {
  const directory = join(dataDirectory, "redis");
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const port = await freePort();
  const password = randomBytes(24).toString("base64url");
  const url = `redis://:${password}@127.0.0.1:${port}`;
  const lock = ["flock", "--no-fork", "--nonblock", "--conflict-exit-code", String(LOCKED_EXIT_CODE)] as const;
  return {
    url,
    directory,
    program: {
      name: "redis",
      // Two servers on one append-only file would destroy it: the server itself holds the lock until it ends.
      command: [...lock, join(directory, "lock"), "redis-server", "-"],
      environment: {},
      // On stdin rather than on the command line, which every user can read.
      input: configurationOf(directory, port, password),
      exitMeanings: { [LOCKED_EXIT_CODE]: `another longshore uses ${dataDirectory}: stop it, or set LONGSHORE_DATA` },
      output: "keep",
      deathSignal: "SIGTERM",
      stopTimeoutMs: 10_000,
      async ready(signal) {
        await answers(url, signal);
        // For `longshore doctor`, and for a person who wants to look.
        await writeFile(join(directory, "url"), `${url}\n`, { mode: 0o600 });
      },
    },
  };
}

function configurationOf(directory: string, port: number, password: string): string {
  return [
    "bind 127.0.0.1",
    `port ${port}`,
    `requirepass ${password}`,
    `dir ${JSON.stringify(directory)}`,
    "appendonly yes",
    // See sync-appended.ts, which has to run beside it.
    "appendfsync no",
    'save ""',
    `maxmemory ${Math.floor(totalmem() * MEMORY_SHARE)}`,
    "maxmemory-policy noeviction",
    "loglevel warning",
    "",
  ].join("\n");
}

/** Redis answers PING only when it has read its append-only file; until then it says LOADING. */
async function answers(url: string, signal: AbortSignal): Promise<void> {
  const client = new Redis(url, { retryStrategy: () => ASK_EVERY_MS, maxRetriesPerRequest: null });
  // Refused connections are what we wait out; the supervisor notices an end of the process.
  client.on("error", () => undefined);
  try {
    const aborted = once(signal, "abort").then(() => {
      throw new Error("redis was not ready before it was stopped");
    });
    await Promise.race([client.ping(), aborted]);
  } finally {
    client.disconnect();
  }
}
