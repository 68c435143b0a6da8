import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RunningApi, startApi } from "../../support/api.ts";
import { type DataDirectory, makeDataDirectory } from "../../support/images.ts";
import { type Finished, runCommand } from "../../support/longshore.ts";
import { type RedisServer, startRedis } from "../../support/redis.ts";
import { startWorkerProcess, type WorkerProcess } from "../../support/worker.ts";

/** Only root can enter it, as is asked of the directories of writable volumes. */
let directory: string;
let redis: RedisServer;
let data: DataDirectory;
let worker: WorkerProcess;
let api: RunningApi;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "longshore-volumes-command-"));
  for (const name of ["datasets", "cache"]) {
    await mkdir(join(directory, name));
    await chmod(join(directory, name), 0o777);
    await writeFile(join(directory, name, "file"), `${name}\n`);
  }
  redis = await startRedis();
  data = await makeDataDirectory("bash");
  const environment = {
    LONGSHORE_DATA: data.path,
    LONGSHORE_VOLUMES: `datasets=${directory}/datasets,cache=${directory}/cache:rw`,
  };
  worker = startWorkerProcess({ REDIS_URL: redis.url, LONGSHORE_SLOTS: "1", ...environment });
  await worker.ready;
  api = await startApi(redis.url, environment);
});

afterAll(async () => {
  await api[Symbol.asyncDispose]();
  await worker[Symbol.asyncDispose]();
  await data[Symbol.asyncDispose]();
  await redis.stop();
  await rm(directory, { recursive: true });
});

async function longshore(...words: string[]): Promise<Omit<Finished, "stdout"> & { stdout: string }> {
  const finished = await runCommand(words, { directory, environment: { LONGSHORE_URL: api.url } });
  return { ...finished, stdout: finished.stdout.toString() };
}

const bash = (volumes: readonly string[], script: string) =>
  longshore("run", "-i", "bash", ...volumes.flatMap((volume) => ["--volume", volume]), "--", "bash", "-c", script);

describe("longshore run --volume", () => {
  it("mounts a volume to be read, and one to be written to", async () => {
    const script = "cat /data/file; echo mine >/data/file; echo written >/cache/new";
    const { exitCode, stdout, stderr } = await bash(["datasets:/data", "cache:/cache:rw"], script);
    expect([exitCode, stdout]).toEqual([0, "datasets\n"]);
    expect(stderr).toContain("Read-only file system");
    expect(await readFile(join(directory, "cache/new"), "utf8")).toBe("written\n");
    expect(await readFile(join(directory, "datasets/file"), "utf8")).toBe("datasets\n");
  });

  it.each([
    ["datasets:/data:rw", "jobs may only read datasets"],
    ["nothing:/data", "choose one of datasets, cache"],
    ["cache:relative", "volumes[0].at"],
    ["cache:/c:rwx", "volumes[0].mode"],
    ["cache", "--volume cache is not NAME:PATH, NAME:PATH:ro or NAME:PATH:rw"],
  ])("is refused for %s, and nothing is run", async (volume, message) => {
    const { exitCode, stdout, stderr } = await bash([volume], "echo run");
    expect([exitCode, stdout, stderr]).toEqual([125, "", expect.stringContaining(message)]);
  });
});

it("a worker tells which volumes it has, and not where", async () => {
  const { workers } = (await (await api.fetch("/v1/workers")).json()) as { workers: object[] };
  expect(workers).toMatchObject([
    {
      volumes: [
        { name: "datasets", mode: "ro" },
        { name: "cache", mode: "rw" },
      ],
    },
  ]);
  expect(JSON.stringify(workers)).not.toContain(directory);
  expect((await longshore("workers")).stdout).toMatch(/VOLUMES.*\n.*datasets:ro cache:rw/);
});
