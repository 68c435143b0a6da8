import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { IDS_PER_SLOT } from "../../../shared/ids.ts";
import { type DataDirectory, makeDataDirectory } from "../../support/images.ts";
import { ProgramCgroup } from "../../support/program-cgroup.ts";
import { type RedisServer, startRedis } from "../../support/redis.ts";
import { startWorkerProcess, type WorkerProcess } from "../../support/worker.ts";
import { workerCgroups, workerName } from "../../support/worker-cgroups.ts";
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

function start(environment: Readonly<Record<string, string>> = {}, cgroup?: ProgramCgroup): WorkerProcess {
  return startWorkerProcess(
    { REDIS_URL: redis.url, LONGSHORE_DATA: data.path, LONGSHORE_SLOTS: "1", ...environment },
    cgroup,
  );
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

function spoolOf(id: string): string {
  return join(data.path, "outputs", workerName(id));
}

describe("a worker leaves no cgroup", () => {
  it("and no spool when it is told to stop", async () => {
    await using worker = start();
    const cgroups = await cgroupsOf(worker);
    const left = [...cgroups, spoolOf(await worker.id)];
    expect(left.filter(existsSync)).toEqual(left);
    worker.signal("SIGTERM");
    expect((await worker.exit).code).toBe(0);
    expect(left.filter(existsSync)).toEqual([]);
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
});

/** Where workers are started that are killed. Whoever runs beside this test starts none there, and so sweeps nothing. */
class Place extends ProgramCgroup {
  /** What workers have there, by name. */
  workers(): string[] {
    const directories = this.children().map((directory) => /\/longshore\/([^/]+)$/.exec(directory)?.[1]);
    return [...new Set(directories.flatMap((name) => name ?? []))].toSorted();
  }
}

describe("what a worker left that was killed in the middle of a job is swept", () => {
  /** Looks when all of these take jobs. */
  const expectOnly = async (place: Place, ...workers: readonly WorkerProcess[]): Promise<void> => {
    const names = await Promise.all(workers.map(async ({ id }) => workerName(await id)));
    expect(place.workers()).toEqual(names.toSorted());
  };

  it("by the first that starts in the same cgroup, whatever its data directory and its user ids are", async () => {
    using place = new Place(`longshore-leftovers-${process.pid}-1`);
    await using living = start({}, place);
    await living.ready;
    const first = await occupy();
    await using killed = start({}, place);
    await killed.ready;
    const second = await occupy();
    killed.signal("SIGKILL");
    await killed.exit;
    await expectOnly(place, living, killed);
    await using elsewhere = await makeDataDirectory("bash");
    await using other = start({ LONGSHORE_DATA: elsewhere.path, LONGSHORE_ID_BASE: "2000000000" }, place);
    await expectOnly(place, living, other);
    expect((await client.store.get(first))?.state).toBe("running");
    await Promise.all([first, second].map((id) => client.store.cancel(id)));
  });

  it("by the first that starts with the same data directory, wherever", async () => {
    using place = new Place(`longshore-leftovers-${process.pid}-2`);
    await using living = start({}, place);
    await using killed = start({}, place);
    const [kept, left] = [spoolOf(await living.id), spoolOf(await killed.id)];
    for (const spool of [kept, left]) writeFileSync(join(spool, "file"), "content");
    killed.signal("SIGKILL");
    await killed.exit;
    await using other = start();
    await other.ready;
    expect(existsSync(left)).toBe(false);
    expect(readdirSync(kept)).toEqual(["file"]);
    await expectOnly(place, living, killed);
  });

  it("when a worker elsewhere has got the user ids of the dead one, too", async () => {
    using place = new Place(`longshore-leftovers-${process.pid}-3`);
    // Ids that no other test uses, and another run of this one hardly.
    const LONGSHORE_ID_BASE = String((480 + (process.pid % 8)) * 64 * IDS_PER_SLOT);
    await using killed = start({ LONGSHORE_ID_BASE }, place);
    const left = spoolOf(await killed.id);
    const jobs = [await occupy()];
    killed.signal("SIGKILL");
    await killed.exit;
    await using elsewhere = await makeDataDirectory("bash");
    await using heir = start({ LONGSHORE_ID_BASE, LONGSHORE_DATA: elsewhere.path });
    const blockOf = (id: string): string | undefined => /-(\d+)-[0-9a-f]+$/.exec(id)?.[1];
    expect(blockOf(await heir.id)).toBe(blockOf(await killed.id));
    await expectOnly(place, killed);
    expect(existsSync(left)).toBe(true);
    jobs.push(await occupy());
    await using successor = start({ LONGSHORE_ID_BASE }, place);
    await expectOnly(place, successor);
    expect(existsSync(left)).toBe(false);
    const heirs = await cgroupsOf(heir);
    expect(heirs.filter(existsSync)).toEqual(heirs);
    expect((await client.store.get(jobs[1] ?? ""))?.state).toBe("running");
    await Promise.all(jobs.map((id) => client.store.cancel(id)));
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
