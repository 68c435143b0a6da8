/** What jobs write, kept and made images: over real Redis, in containers, with the machine's own images. */
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RunJob } from "../../../shared/job.ts";
import { exportToDirectory } from "../../../worker/images/archive/export.ts";
import { collectGarbage } from "../../../worker/images/garbage.ts";
import { commitKeptRun } from "../../../worker/images/kept/commit.ts";
import type { StoredImage } from "../../../worker/images/store.ts";
import { listTree } from "../../support/file-tree.ts";
import { type DataDirectory, makeDataDirectory } from "../../support/images.ts";
import { runCommand } from "../../support/longshore.ts";
import { type RedisServer, startRedis } from "../../support/redis.ts";
import { startWorkerProcess, type WorkerProcess } from "../../support/worker.ts";
import { Client } from "./client.ts";

const run = promisify(execFile);

let redis: RedisServer;
let data: DataDirectory;
let worker: WorkerProcess;
let client: Client;
const jobs: string[] = [];
const names: string[] = [];

beforeAll(async () => {
  redis = await startRedis();
  data = await makeDataDirectory("bash", "c");
  worker = startWorkerProcess({ REDIS_URL: redis.url, LONGSHORE_DATA: data.path, LONGSHORE_SLOTS: "2" });
  await worker.ready;
  client = await Client.open(redis.url);
});

afterAll(async () => {
  await client[Symbol.asyncDispose]();
  await worker[Symbol.asyncDispose]();
  await redis.stop();
  // The images are this machine's.
  for (const job of jobs) await rm(join(data.images.directory, "kept", `${job}.json`), { force: true });
  for (const name of names) await data.images.untag(name);
  await collectGarbage(data.images);
  await data[Symbol.asyncDispose]();
});

/** Runs a script that keeps what it writes. */
async function keep(body: Record<string, unknown>): Promise<RunJob> {
  const job = await client.run({ ...body, keepLayer: true });
  jobs.push(job.id);
  expect(job).toMatchObject({ state: "done" });
  return job;
}

const bash = (source: string, changes: Record<string, unknown> = {}) => keep({ language: "bash", source, ...changes });
const inImage = (image: string, script: string) => keep({ image, command: ["bash", "-c", script] });

async function commit({ id }: RunJob, remarks: { message?: string; author?: string } = {}): Promise<StoredImage> {
  const name = `test-kept-${process.pid}:${names.length}`;
  names.push(name);
  return await commitKeptRun(data.images, id, name, remarks);
}

function keptLayers({ result }: RunJob): readonly { digest: string; bytes: number }[] {
  const kept = result?.keptLayer;
  if (kept === undefined || "error" in kept) throw new Error(`nothing was kept: ${kept?.error}`);
  return kept.layers;
}

describe("what a job wrote", () => {
  it("becomes a layer on its image, which later jobs run from and which can be changed again", async () => {
    const first = await bash("mkdir -p dir; echo one >a; echo two >dir/b; ln a c; chmod 4711 a; mkfifo pipe");
    expect(first.result?.keptLayer).toMatchObject({ expiresAt: expect.stringMatching(/^\d{4}-/) });
    const base = await data.images.resolve("bash");
    const image = await commit(first, { message: "with files", author: "somebody" });
    expect(image.config.rootfs.diff_ids).toEqual([
      ...(base?.config.rootfs.diff_ids ?? []),
      ...keptLayers(first).map(({ digest }) => digest),
    ]);
    expect(image.config).toMatchObject({ author: "somebody", config: base?.config.config });
    expect(image.config.history?.at(-1)).toMatchObject({ created_by: "bash main.sh", comment: "with files" });

    const second = await inImage(
      image.reference,
      "cat a dir/b; stat -c '%u:%g %a %h' a; rm a; rm -r dir; mkdir dir; echo new >dir/n",
    );
    expect(second.result?.stdout.content).toBe("one\ntwo\n1000:1000 4711 2\n");
    const changed = await commit(second);
    const third = await inImage(changed.reference, "find . | sort | tr '\\n' ' '; cat c dir/n");
    expect(third.result?.stdout.content).toBe(". ./c ./dir ./dir/n ./main.sh ./pipe one\nnew\n");
    // It only read.
    expect(keptLayers(third)).toEqual([]);
    const unchanged = await commit(third);
    expect(unchanged.layers).toEqual(changed.layers);
    expect(unchanged.config.history?.at(-1)).toMatchObject({ empty_layer: true });
  });

  it("is an OCI image, which others unpack to the same files", async () => {
    const image = await commit(await bash("mkdir -p x; echo 1 >x/keep; echo 2 >x/drop; echo 3 >gone"));
    const next = await commit(
      await inImage(image.reference, "rm -r x gone; mkdir x; echo 4 >x/new; touch $'caf\\351\\n'"),
    );
    const directory = await mkdtemp(join(tmpdir(), "longshore-commit-"));
    const layout = join(directory, "oci");
    await exportToDirectory(data.images, [next], layout);
    const { stdout } = await run("umoci", ["list", "--layout", layout]);
    await run("umoci", ["unpack", "--image", `${layout}:${stdout.trim()}`, join(directory, "bundle")]);
    const names = listTree(join(directory, "bundle/rootfs/work")).map(
      (line) => line.split(/ (?:directory|[0-9a-f]{16}) /)[0],
    );
    expect(names).toEqual(["/", "/caf\u00e9\n", "/main.sh", "/x", "/x/new"]);
    await rm(directory, { recursive: true });
  });

  it("includes what its build wrote", async () => {
    const source = `#include <stdio.h>\nint main(void) { fputs("made", fopen("made.txt", "w")); puts("ran"); }`;
    const job = await keep({ language: "c", source });
    expect(keptLayers(job)).toHaveLength(2);
    const image = await commit(job);
    expect(image.config.history?.slice(-2).map((step) => step.created_by)).toEqual([
      expect.stringMatching(/^gcc /),
      "./main",
    ]);
    const again = await inImage(image.reference, "cat made.txt; ./main");
    expect(again.result?.stdout.content).toBe("maderan\n");
  });

  it("is kept however the program ended, and not at all where it was not run", async () => {
    const limited = await bash("echo x >file; head -c 10000 /dev/zero", { limits: { outputBytes: 10 } });
    expect(limited.result?.outcome).toBe("output_limit");
    expect(keptLayers(limited)).toHaveLength(1);
    const failing = await keep({ language: "c", source: "no program" });
    expect(failing.result).toMatchObject({ outcome: "build_failed" });
    expect(failing.result?.keptLayer).toBeUndefined();
  });

  it("is refused, and the job is done none the less, where it would fill the disk or mean something else", async () => {
    const sparse = await bash("for i in 1 2 3; do truncate -s 30M $i; done; echo done");
    expect(sparse.result).toMatchObject({ outcome: "exited", stdout: { content: "done\n" } });
    expect(sparse.result?.keptLayer).toEqual({ error: expect.stringContaining("holes included") });
    const named = await bash("mkdir d; touch d/.wh.x");
    expect(named.result?.keptLayer).toEqual({ error: expect.stringContaining(".wh.x") });
    await expect(commit(named)).rejects.toThrow(/no layer of job .* is kept in/);
  });

  it("is committed by a command on its worker's machine, which says where else it may be", async () => {
    const job = await bash("echo x >file");
    const name = `test-kept-${process.pid}:command`;
    names.push(name);
    const environment = { LONGSHORE_DATA: data.path };
    const done = await runCommand(["images", "commit", job.id, name, "-m", "hello"], { environment });
    expect([done.exitCode, done.stderr]).toEqual([0, ""]);
    expect(done.stdout.toString()).toMatch(new RegExp(`^${name}: sha256:[0-9a-f]{64}, 5 layers, `));
    const elsewhere = await mkdtemp(join(tmpdir(), "longshore-elsewhere-"));
    for (const id of [job.id, "../../etc/passwd"]) {
      const missing = await runCommand(["images", "commit", id, name], { environment: { LONGSHORE_DATA: elsewhere } });
      expect([missing.exitCode, missing.stderr]).toEqual([
        1,
        expect.stringContaining("the worker that its result names"),
      ]);
    }
    await rm(elsewhere, { recursive: true });
  });

  it("is not kept under a read-only root, which a request cannot ask for", async () => {
    const request = client.post({ language: "bash", source: "true", rootfs: "readonly", keepLayer: true });
    await expect(request).rejects.toMatchObject({ details: [{ path: "keepLayer" }] });
  });
});
