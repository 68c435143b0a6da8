import { existsSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type DataDirectory, makeDataDirectory } from "../../support/images.ts";
import { type RedisServer, startRedis } from "../../support/redis.ts";
import { startWorkerProcess, type WorkerProcess } from "../../support/worker.ts";
import { workerCgroups } from "../../support/worker-cgroups.ts";
import { Client } from "./client.ts";

let redis: RedisServer;
let data: DataDirectory;
let client: Client;

beforeAll(async () => {
  redis = await startRedis();
  data = await makeDataDirectory("bash");
  client = await Client.open(redis.url);
});

afterAll(async () => {
  await client[Symbol.asyncDispose]();
  await data[Symbol.asyncDispose]();
  await redis.stop();
});

function start(environment: Readonly<Record<string, string>> = {}): WorkerProcess {
  return startWorkerProcess({
    REDIS_URL: redis.url,
    LONGSHORE_DATA: data.path,
    LONGSHORE_SLOTS: "1",
    ...environment,
  });
}

/** Gives a worker a job that does not end by itself. */
async function occupy(): Promise<string> {
  const id = await client.post({ language: "bash", source: "sleep 300", limits: { wallTimeMs: 300_000 } });
  await client.started(id);
  return id;
}

/** A worker's cgroup in each hierarchy. */
async function cgroupsOf(worker: WorkerProcess): Promise<string[]> {
  return workerCgroups(await worker.id);
}

describe("a worker leaves no cgroup", () => {
  it("when it is told to stop", async () => {
    await using worker = start();
    const cgroups = await cgroupsOf(worker);
    expect(cgroups.filter(existsSync)).toEqual(cgroups);
    worker.signal("SIGTERM");
    expect((await worker.exit).code).toBe(0);
    expect(cgroups.filter(existsSync)).toEqual([]);
  });

  it("when it is told to stop twice, in the middle of a job", async () => {
    await using worker = start();
    const cgroups = await cgroupsOf(worker);
    const id = await occupy();
    worker.signal("SIGTERM");
    await worker.said("draining");
    worker.signal("SIGTERM");
    expect(await worker.exit).toMatchObject({ code: 1, complaints: "" });
    expect(cgroups.filter(existsSync)).toEqual([]);
    await client.store.cancel(id);
  });

  it("when it was killed in the middle of a job, as soon as any other one starts", async () => {
    await using living = start();
    const kept = await cgroupsOf(living);
    const first = await occupy();
    await using killed = start();
    const cgroups = await cgroupsOf(killed);
    const second = await occupy();
    killed.signal("SIGKILL");
    await killed.exit;
    expect(cgroups.filter(existsSync)).toEqual(cgroups);
    // Not its successor: one with other user ids, and with a data directory of its own.
    await using elsewhere = await makeDataDirectory("bash");
    await using other = start({ LONGSHORE_DATA: elsewhere.path, LONGSHORE_ID_BASE: "2000000000" });
    const others = await cgroupsOf(other);
    expect(cgroups.filter(existsSync)).toEqual([]);
    expect(kept.filter(existsSync)).toEqual(kept);
    expect(others.filter(existsSync)).toEqual(others);
    expect((await client.store.get(first))?.state).toBe("running");
    await Promise.all([first, second].map((id) => client.store.cancel(id)));
  });
});

describe("two workers with different data directories", () => {
  it("never share user ids", async () => {
    await using elsewhere = await makeDataDirectory("bash");
    await using one = start();
    await using other = start({ LONGSHORE_DATA: elsewhere.path });
    const ids = [await client.post(whoAmI), await client.post(whoAmI)];
    const jobs = await Promise.all(ids.map((id) => client.finished(id)));
    expect(jobs.map(({ state }) => state)).toEqual(["done", "done"]);
    expect(new Set(jobs.map(({ result }) => result?.worker))).toEqual(new Set([await one.id, await other.id]));
    expect(new Set(jobs.map(({ result }) => result?.stdout.content)).size).toBe(2);
  });
});

/** The first id outside that root inside stands for; long enough for each of two slots to get one. */
const whoAmI = { language: "bash", source: "read -r _ outside _ < /proc/self/uid_map; echo $outside; sleep 2" };
