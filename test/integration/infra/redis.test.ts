import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type OwnRedis, prepareRedis } from "../../../infra/start/redis.ts";
import { syncAppended } from "../../../infra/start/sync-appended.ts";

/** As `appendfsync everysec` loses something in every tenth or so, or earlier where the disk is slow. */
const ROUNDS = 6;

/** Large enough for the disk to be busy with what was written before. */
const PAYLOAD = "x".repeat(20_000);

let directory: string;
let own: OwnRedis;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "longshore-own-redis-"));
  own = await prepareRedis(directory);
});
afterAll(() => rmSync(directory, { recursive: true }));

/** Starts the server; disposing of it kills it. */
function start(): AsyncDisposable {
  const [command, ...words] = own.program.command;
  const child = spawn(command, words, { stdio: ["pipe", "ignore", "inherit"] });
  child.stdin.end(own.program.input);
  const exited = once(child, "exit");
  return {
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await exited;
    },
  };
}

/** A client that waits until the server is there. */
function connect(): Redis {
  const redis = new Redis(own.url, { retryStrategy: () => 20, maxRetriesPerRequest: null });
  return redis.on("error", () => undefined);
}

it(
  "the redis of npm start loses nothing that it has acknowledged when it is killed",
  { timeout: 120_000 },
  async () => {
    const failures: unknown[] = [];
    await using _syncing = syncAppended(own.directory, (error) => failures.push(error));
    let acknowledged = 0;
    for (let round = 0; round < ROUNDS; round++) {
      await using _server = start();
      const redis = connect();
      expect(Number(await redis.get("count"))).toBe(acknowledged);
      const deadline = Date.now() + 900 + round * 100;
      while (Date.now() < deadline) {
        await redis
          .multi()
          .incr("count")
          .set(`payload-${acknowledged % 50}`, PAYLOAD)
          .exec();
        acknowledged += 1;
      }
      redis.disconnect();
    }
    expect(failures).toEqual([]);
  },
);
