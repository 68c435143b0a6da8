/** Workers that lack something, beside others that do not. */
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type DataDirectory, makeDataDirectory } from "../../support/images.ts";
import { type RedisServer, startRedis } from "../../support/redis.ts";
import { startWorkerProcess, type WorkerProcess } from "../../support/worker.ts";
import { Client } from "./client.ts";

let redis: RedisServer;
let data: DataDirectory;
let client: Client;
let directory: string;

beforeAll(async () => {
  redis = await startRedis();
  data = await makeDataDirectory("bash");
  client = await Client.open(redis.url);
  directory = mkdtempSync(join(tmpdir(), "longshore-unfit-"));
});

afterAll(async () => {
  await client[Symbol.asyncDispose]();
  await data[Symbol.asyncDispose]();
  await redis.stop();
  rmSync(directory, { recursive: true });
});

function start(path: string): WorkerProcess {
  return startWorkerProcess({ REDIS_URL: redis.url, LONGSHORE_DATA: path, LONGSHORE_SLOTS: "1" });
}

/** A data directory whose images can be taken away. */
function makeOwn(name: string): string {
  const path = join(directory, name);
  mkdirSync(join(path, "images"), { recursive: true });
  for (const part of ["blobs", "layers"]) symlinkSync(join(data.images.directory, part), join(path, "images", part));
  cpSync(join(data.images.directory, "references"), join(path, "images/references"), { recursive: true });
  return path;
}

it("one that cannot use its images leaves jobs to another one, until it can again", { timeout: 90_000 }, async () => {
  const path = makeOwn("without-leases");
  await using patient = await Client.open(redis.url, 20);
  await using good = start(data.path);
  await using bad = start(path);
  const [goodId, badId] = [await good.id, await bad.id];
  const leases = join(path, "images/leases");
  rmSync(leases, { recursive: true });
  const posted = Array.from({ length: 40 }, (_, n) => patient.run({ language: "bash", source: `echo ${n}` }));
  const jobs = await Promise.all(posted);
  expect(jobs.map(({ state, result }) => [state, result?.stdout.content, result?.worker])).toEqual(
    jobs.map((_, n) => ["done", `${n}\n`, goodId]),
  );
  // Each rest lets one job fail: without them, the bad one would have had about half of all.
  expect(jobs.filter(({ attempt }) => attempt > 1).length).toBeLessThan(10);

  mkdirSync(leases);
  good.signal("SIGTERM");
  await good.exit;
  expect(await patient.run({ language: "bash", source: "true" })).toMatchObject({
    state: "done",
    result: { worker: badId },
  });
});

it("one alone without any says so in each job, instead of resting", async () => {
  await using _worker = start(join(directory, "empty"));
  expect(await client.run({ language: "bash", source: "true" })).toMatchObject({
    state: "failed",
    attempt: 3,
    error: { code: "image_unavailable" },
  });
});

it("one whose data directory is deleted ends, and the next start makes it again", { timeout: 60_000 }, async () => {
  const path = makeOwn("deleted");
  await using worker = start(path);
  await worker.ready;
  expect(await client.run({ language: "bash", source: "echo before" })).toMatchObject({ state: "done" });
  rmSync(path, { recursive: true });
  const { code, complaints } = await worker.exit;
  expect(code).toBe(1);
  expect(complaints).toMatch(/^longshore worker: \S+ was removed: stopping, start the worker again$/m);
  makeOwn("deleted");
  await using _next = start(path);
  expect(await client.run({ language: "bash", source: "echo after" })).toMatchObject({
    state: "done",
    result: { stdout: { content: "after\n" } },
  });
});

it("one whose disk is full reports no job without its files, and another attempt is made", async () => {
  const path = makeOwn("full");
  const outputs = join(path, "outputs");
  mkdirSync(outputs);
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=256k", "longshore-unfit", outputs]);
  using _mount = { [Symbol.dispose]: () => void execFileSync("umount", [outputs]) };
  await using _worker = start(path);
  const job = await client.run({ language: "bash", source: "seq 300000 > out.txt", outputs: ["out.txt"] });
  expect(job).toMatchObject({
    state: "failed",
    attempt: 3,
    error: { code: "setup_failed", message: expect.stringContaining("ENOSPC") },
  });
});

it("a job has waited for no time when the clock was set back meanwhile", async () => {
  const id = await client.post({ language: "bash", source: "true" });
  await client.redis.hset(client.store.keys.job(id), "createdAt", Date.now() + 3_600_000);
  await using _worker = start(data.path);
  expect(await client.finished(id)).toMatchObject({ state: "done", result: { timings: { queuedMs: 0 } } });
});
