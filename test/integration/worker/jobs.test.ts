import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { jobSchema } from "../../../shared/job.ts";
import { WorkerRegistry } from "../../../shared/workers.ts";
import { type DataDirectory, makeDataDirectory } from "../../support/images.ts";
import { type RedisServer, startRedis } from "../../support/redis.ts";
import { startWorkerProcess, type WorkerProcess } from "../../support/worker.ts";
import { workerCgroups } from "../../support/worker-cgroups.ts";
import { Client } from "./client.ts";

let redis: RedisServer;
let data: DataDirectory;
let worker: WorkerProcess;
let client: Client;
let metricsPort: number;

beforeAll(async () => {
  redis = await startRedis();
  data = await makeDataDirectory("bash", "python", "c");
  worker = startWorkerProcess({ REDIS_URL: redis.url, LONGSHORE_DATA: data.path, LONGSHORE_SLOTS: "2" });
  metricsPort = await worker.ready;
  client = await Client.open(redis.url);
});

afterAll(async () => {
  await client[Symbol.asyncDispose]();
  await worker[Symbol.asyncDispose]();
  await redis.stop();
  await data[Symbol.asyncDispose]();
});

async function metrics(): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${metricsPort}/metrics`);
  return await response.text();
}

describe("a job", () => {
  it("in an interpreted language returns what its program printed, and how it ended", async () => {
    const job = await client.run({
      language: "python",
      source: "import sys; print(sys.stdin.read()[::-1]); sys.exit(int(sys.argv[1]))",
      stdin: "abc",
      arguments: ["3"],
    });
    expect(jobSchema.parse(job)).toEqual(job);
    expect(job).toMatchObject({ state: "done", attempt: 1, result: { outcome: "exited", exitCode: 3, build: null } });
    expect(job.result?.stdout.content).toBe("cba\n");
    expect(job.result?.image).toBe((await data.images.resolve("python"))?.digest);
  });

  it("in a compiled language runs what its build made, in a container that starts clean", async () => {
    const source = `#include <stdio.h>
      int main(void) { FILE *in = fopen("in.txt", "r"); int n = 0; fscanf(in, "%d", &n); printf("%d\\n", n * 2); }`;
    const job = await client.run({ language: "c", source, files: [{ path: "in.txt", content: "21" }] });
    expect(job.result).toMatchObject({ outcome: "exited", exitCode: 0, build: { outcome: "exited", exitCode: 0 } });
    expect(job.result?.stdout.content).toBe("42\n");
  });

  it("in a compiled language runs under a read-only root, too", async () => {
    const source = `#include <stdio.h>
      int main(void) { fputs("made", fopen("out.txt", "w")); return fopen("/etc/new", "w") != 0; }`;
    const job = await client.run({ language: "c", source, rootfs: "readonly", outputs: ["out.txt"] });
    expect(job.result).toMatchObject({ exitCode: 0, outputs: [{ path: "out.txt", bytes: 4 }] });
  });

  it("whose build fails says so with the compiler's messages", async () => {
    const job = await client.run({ language: "c", source: "int main(void) { return undeclared; }" });
    expect(job).toMatchObject({ state: "done", result: { outcome: "build_failed", exitCode: null } });
    expect(job.result?.build).toMatchObject({ outcome: "exited", exitCode: 1 });
    expect(job.result?.build?.stderr.content).toMatch(/undeclared/);
  });

  it("stores the files it returns beside its result", async () => {
    const source = "printf data >a.txt; mkfifo pipe";
    const job = await client.run({ language: "bash", source, outputs: ["*.txt", "pipe"] });
    expect(job.result?.outputs.toSorted((left, right) => left.path.localeCompare(right.path))).toEqual([
      { path: "a.txt", bytes: 4, sha256: "3a6eb0790f39ac87c94f3856b2dd2c5d110e6811602261a9a923d3bb23adc8b7" },
      { path: "pipe", error: expect.stringMatching(/not a regular file/) },
    ]);
    const output = await client.store.output(job.id, "a.txt");
    const chunks: Buffer[] = [];
    for await (const chunk of output.read()) chunks.push(chunk);
    expect(Buffer.concat(chunks).toString()).toBe("data");
  });

  it("fails at once, by name, when the worker has no such image and may not pull it", async () => {
    const job = await client.run({ image: "registry.example/none:1", command: ["true"] });
    expect(job).toMatchObject({ state: "failed", attempt: 1, result: null, error: { code: "pull_forbidden" } });
    expect(job.error?.message).toMatch(/^image registry\.example\/none:1 is not on worker .* LONGSHORE_PULL is never/);
  });

  it("is attempted again when its container cannot be set up, then fails with step, call and error", async () => {
    const limits = workerCgroups(await worker.id).map((directory) => join(directory, "pids.max"));
    const setLimit = async (value: string): Promise<void> => {
      for (const file of limits.filter((path) => existsSync(path))) await writeFile(file, value);
    };
    // A machine that is out of processes, as far as this worker's containers go.
    await setLimit("0");
    await using limited = new AsyncDisposableStack();
    limited.defer(() => setLimit("max"));
    const job = await client.run({ language: "bash", source: "true" });
    await limited.disposeAsync();
    expect(job).toMatchObject({ state: "failed", attempt: 3, error: { code: "setup_failed" } });
    expect(job.error?.message).toMatch(/^the container could not be set up: \w+, step \d+: clone3?: EAGAIN$/);
    await expect.poll(() => client.reportsOf(job.id)).toBe(1);
    expect(await client.run({ language: "bash", source: "true" })).toMatchObject({ state: "done" });
  });

  it("fails at once when its files do not fit into its disk, which is known only where they are put", async () => {
    // What they hold would fit, their directories do not: a file system of 2 MiB has 512 inodes.
    const files = Array.from({ length: 100 }, (_, index) => ({ path: `${index}/a/b/c/d/e/f`, content: "" }));
    const limits = { diskBytes: 2_097_152 };
    const message =
      "the request's files do not fit into a disk of 2097152 bytes, with room for a file or directory in every 4096 of " +
      "them: send less, or raise limits.diskBytes";
    for (const rootfs of ["writable", "readonly"]) {
      const job = await client.run({ image: "bash", command: ["true"], rootfs, files, limits });
      expect(job).toMatchObject({ state: "failed", attempt: 1, error: { code: "files_too_large", message } });
    }
  });

  it.each([
    ["/etc/hosts", "a", "what has to be a directory is none"],
    ["/usr", "bin", "what has to be a file is a directory"],
    ["/", "etc/hosts/a", "what has to be a directory is none"],
    [`/${"w".repeat(200)}${`/${"w".repeat(250)}`.repeat(15)}`, "f".repeat(250), "a path gets too long"],
  ])("fails at once when the image has no place for its files: %s, %s", async (workingDirectory, path, obstacle) => {
    const request = { image: "bash", command: ["true"], workingDirectory, files: [{ path, content: "x" }] };
    const message = `the request's files cannot be put into ${workingDirectory} of this image: ${obstacle}`;
    expect(await client.run(request)).toMatchObject({
      state: "failed",
      attempt: 1,
      error: { code: "unusable_path", message },
    });
  });

  it("that runs is canceled, its container is ended, and its slot is free for the next one", async () => {
    const ids = await Promise.all([1, 2].map(() => client.post({ language: "bash", source: "sleep 1000" })));
    for (const id of ids) await client.started(id);
    for (const id of ids) expect(await client.store.cancel(id)).toBe("requested");
    for (const id of ids) expect(await client.finished(id)).toMatchObject({ state: "canceled", result: null });
    const job = await client.run({ language: "bash", source: "echo next" });
    expect(job.result?.stdout.content).toBe("next\n");
  });
});

describe("a worker", () => {
  it("tells of itself what it has", async () => {
    const registry = new WorkerRegistry(client.redis, "longshore");
    // As of its last heartbeat, which may have been in the middle of a job.
    await expect
      .poll(async () => (await registry.list())[0]?.slots, { timeout: 10_000 })
      .toEqual({ total: 2, busy: 0 });
    const [info, ...others] = await registry.list();
    expect(others).toEqual([]);
    const python = info?.images.find(({ reference }) => reference === "python");
    const stored = await data.images.resolve("python");
    expect(python).toMatchObject({ digest: stored?.digest, layers: stored?.layers.length });
  });

  it("is healthy, and has nothing but metrics to show", async () => {
    const health = await fetch(`http://127.0.0.1:${metricsPort}/healthz`);
    expect([health.status, await health.json()]).toEqual([200, { status: "ok" }]);
    expect((await fetch(`http://127.0.0.1:${metricsPort}/`)).status).toBe(404);
  });

  it("counts runs by outcome, language and image, and no label is a client's", async () => {
    const before = await metrics();
    await client.run({ image: "bash", command: ["invented-by-a-client"] });
    await client.run({ image: "invented-by-a-client", command: ["true"] });
    await client.run({ language: "bash", source: "x=$(head -c 300M /dev/zero | tr '\\0' x)" });
    const after = await metrics();
    // Labels come in no particular order.
    const value = (text: string, name: string, labels: readonly string[] = []) => {
      const lines = text.split("\n").filter((line) => line.startsWith(`longshore_${name}`));
      return Number(
        lines
          .find((line) => labels.every((label) => line.includes(label)))
          ?.split(" ")
          .at(-1) ?? 0,
      );
    };
    const gained = (name: string, labels?: readonly string[]) =>
      value(after, name, labels) - value(before, name, labels);
    expect(gained("runs_total", ['outcome="exited"', 'language="none"', 'image="bash"', 'stage="run"'])).toBe(1);
    expect(gained("runs_total", ['outcome="memory_limit"', 'language="bash"', 'image="bash"'])).toBe(1);
    expect(gained("oom_kills_total")).toBe(1);
    expect(gained("image_misses_total")).toBe(1);
    expect(gained("image_hits_total")).toBe(2);
    expect(gained("pull_seconds_count")).toBe(0);
    expect(gained("run_seconds_count", ['stage="run"'])).toBe(2);
    expect(after).not.toContain("invented-by-a-client");
  });

  it("offers every metric that the operator is promised", async () => {
    const text = await metrics();
    const promised = [
      ...["runs_total", "queue_wait_seconds", "prepare_seconds", "run_seconds", "collect_seconds", "cpu_seconds_total"],
      ...["memory_peak_bytes", "slots", "containers_running", "oom_kills_total", "images_cached", "layers_cached"],
      ...["layers_cached_bytes", "image_hits_total", "image_misses_total", "job_retries_total", "lost_locks_total"],
      ...["build_info", "process_resident_memory_bytes", "nodejs_eventloop_lag_seconds"],
    ];
    const offered = new Set(text.matchAll(/^# TYPE longshore_(\S+)/gm).map(([, name]) => name));
    expect(promised.filter((name) => !offered.has(name))).toEqual([]);
    expect(text).toMatch(/^longshore_slots\{state="free".*\} 2$/m);
    expect(text).toMatch(/^longshore_prepare_seconds_bucket\{le="0\.0005"/m);
    expect(text).toMatch(/^longshore_images_cached\{.*\} [1-9]/m);
    expect(text).toMatch(/^longshore_layers_cached_bytes\{.*\} [1-9]/m);
  });
});
