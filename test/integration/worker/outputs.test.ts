/** Large files that jobs return: from a container to a client, through a directory or a bucket. */
import { createHash } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { Blobs } from "../../../shared/blobs/blobs.ts";
import { openBlobStorage } from "../../../shared/blobs/open-storage.ts";
import { loadConfig } from "../../../shared/config.ts";
import type { RunJob } from "../../../shared/job.ts";
import { startApi, type RunningApi } from "../../support/api.ts";
import { type DataDirectory, makeDataDirectory } from "../../support/images.ts";
import { type RedisServer, startRedis } from "../../support/redis.ts";
import { type S3Server, startS3 } from "../../support/s3.ts";
import { tarArchive } from "../../support/tar.ts";
import { startWorkerProcess } from "../../support/worker.ts";

const MB = 1_000_000;

let redis: RedisServer;
let data: DataDirectory;
let s3: S3Server;
beforeAll(async () => {
  redis = await startRedis();
  data = await makeDataDirectory("bash");
  s3 = await startS3();
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await s3[Symbol.asyncDispose]();
  await redis.stop();
  await data[Symbol.asyncDispose]();
});

interface Installation extends AsyncDisposable {
  readonly api: RunningApi;
  /** Runs a shell script that returns files. */
  run(source: string, outputs: readonly string[], more?: Record<string, unknown>): Promise<RunJob>;
  /** What came back under a path. */
  fetch(job: RunJob, path: string): Promise<Response>;
}

/** An API and a worker that know nothing of each other but Redis and the place of blobs. */
async function start(queue: string, environment: Readonly<Record<string, string>> = {}): Promise<Installation> {
  await using resources = new AsyncDisposableStack();
  const own = { LONGSHORE_QUEUE: queue, LONGSHORE_DATA: data.path, LONGSHORE_OUTPUT_FILES_BYTES: String(30 * MB) };
  for (const [name, value] of Object.entries(environment)) if (name.startsWith("AWS_")) vi.stubEnv(name, value);
  const ours = Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith("AWS_")));
  const api = resources.use(await startApi(redis.url, { ...own, ...ours }));
  const worker = resources.use(
    startWorkerProcess({ REDIS_URL: redis.url, ...own, ...environment, LONGSHORE_SLOTS: "1" }),
  );
  await worker.ready;
  const kept = resources.move();
  return {
    api,
    async run(source, outputs, more = {}) {
      const response = await api.post({ language: "bash", source, outputs, ...more }, { wait: 60 });
      expect(response.status).toBe(200);
      return (await response.json()) as RunJob;
    },
    fetch: (job, path) => api.fetch(`/v1/jobs/${job.id}/outputs/${path}`),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

const zeros = (name: string, bytes: number): string => `head -c ${bytes} /dev/zero >${name}`;
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const namesIn = (path: string): string[] => (existsSync(path) ? readdirSync(path) : []);

describe("large files that a job returns", () => {
  let longshore: Installation;
  beforeAll(async () => void (longshore = await start("directory")));
  afterAll(async () => await longshore[Symbol.asyncDispose]());
  const stored = (): string[] => namesIn(join(data.path, "blobs/sha256"));
  /** What is on its way on the worker's disk. */
  const spooled = (): string[] => [
    ...namesIn(join(data.path, "blobs/spool")),
    ...namesIn(join(data.path, "outputs")).flatMap((worker) => namesIn(join(data.path, "outputs", worker))),
  ];

  it("come back as any other, and Redis holds only where they are", async () => {
    const job = await longshore.run(`${zeros("large", 25 * MB)}; ${zeros("small", 1000)}`, ["large", "small"]);
    for (const [path, bytes] of Object.entries({ large: 25 * MB, small: 1000 })) {
      expect(job.result?.outputs).toContainEqual({ path, bytes, sha256: sha256(Buffer.alloc(bytes)) });
      const head = await longshore.api.fetch(`/v1/jobs/${job.id}/outputs/${path}`, { method: "HEAD" });
      expect(head.headers.get("content-length")).toBe(String(bytes));
      const response = await longshore.fetch(job, path);
      expect(response.headers.get("content-length")).toBe(String(bytes));
      expect(Buffer.from(await response.arrayBuffer()).equals(Buffer.alloc(bytes))).toBe(true);
    }
    const keys = await longshore.api.api.redis.keys(`*${job.id}:output*`);
    expect(keys.map((key) => key.replace(/.*:(output[^:]*):.*:/, "$1 ")).toSorted()).toEqual([
      "output small",
      "output-blob large",
    ]);
    expect(stored()).toContain(sha256(Buffer.alloc(25 * MB)));
    await expect.poll(spooled).toEqual([]);
  });

  it("are nobody's blobs: only who knows the job can read them", async () => {
    const job = await longshore.run(zeros("large", 2 * MB), ["large"]);
    const digest = `sha256:${sha256(Buffer.alloc(2 * MB))}`;
    expect((await longshore.api.fetch(`/v1/blobs/${digest}`)).status).toBe(404);
    const other = await longshore.api.post({ language: "bash", source: "", layers: [{ blob: digest, at: "/a" }] });
    expect(other.status).toBe(404);
    expect((await longshore.fetch(job, "large")).status).toBe(200);
  });

  it("go with their job", async () => {
    const { api } = longshore;
    const job = await longshore.run(zeros("large", 3 * MB), ["large"]);
    const hex = sha256(Buffer.alloc(3 * MB));
    expect(stored()).toContain(hex);
    const [held, ttl] = await Promise.all([
      api.api.redis.zscore("{directory}:blobs:holds", `job:${job.id} ${hex}`),
      api.api.redis.pttl(`{directory}:job:${job.id}`),
    ]);
    const surplus = Number(held) - (Date.now() + ttl);
    expect([surplus > 0, surplus < 120_000]).toEqual([true, true]);
    // An hour later:
    await api.api.redis.zadd("{directory}:blobs:holds", Date.now() - 1, `job:${job.id} ${hex}`);
    await api.api.blobs.sweep();
    expect(stored()).not.toContain(hex);
    expect((await longshore.fetch(job, "large")).status).toBe(404);
  });

  it("are an error in the list where they are too many", async () => {
    const job = await longshore.run(`${zeros("a", 20 * MB)}; ${zeros("b", 20 * MB)}; ${zeros("c", 5 * MB)}`, ["[a-c]"]);
    expect(job.result?.outputs).toEqual([
      { path: "a", bytes: 20 * MB, sha256: expect.any(String) },
      { path: "b", error: `${20 * MB} bytes are more than the ${10 * MB} that are left for output files` },
      { path: "c", bytes: 5 * MB, sha256: expect.any(String) },
    ]);
  });

  it("are removed from the worker's disk when their job is canceled, too", async () => {
    const source = `${zeros("large", 20 * MB)}; sleep 100`;
    const { id } = await longshore.api.accept({ language: "bash", source, outputs: ["large"] });
    await expect.poll(async () => (await longshore.api.store.get(id))?.state).toBe("running");
    await longshore.api.fetch(`/v1/jobs/${id}`, { method: "DELETE" });
    await expect.poll(async () => (await longshore.api.store.get(id))?.state).toBe("canceled");
    await expect.poll(spooled).toEqual([]);
  });
});

describe("with a bucket", () => {
  let longshore: Installation;
  beforeAll(async () => void (longshore = await start("bucket", s3.environment("of/tests"))));
  afterAll(async () => await longshore[Symbol.asyncDispose]());

  it("a job gets its layers from there and leaves its large files there", async () => {
    const archive = new Uint8Array(tarArchive({ name: "in", content: "from the bucket\n" }));
    const response = await longshore.api.fetch("/v1/blobs", { method: "PUT", body: archive });
    const { digest } = (await response.json()) as { digest: string };
    expect(s3.objects()).toContain(`of/tests/sha256/${digest.slice("sha256:".length)}`);
    const layers = [{ blob: digest, at: "/work/data" }];
    const job = await longshore.run(`cat data/in; ${zeros("large", 20 * MB)}`, ["large"], { layers });
    expect(job.result?.stdout.content).toBe("from the bucket\n");
    expect(s3.objects()).toContain(`of/tests/sha256/${sha256(Buffer.alloc(20 * MB))}`);
    const bytes = Buffer.from(await (await longshore.fetch(job, "large")).arrayBuffer());
    expect(bytes.equals(Buffer.alloc(20 * MB))).toBe(true);
  });

  it("that is away, the program's result is reported, and that its file could not be stored", async () => {
    await s3.stop();
    const job = await longshore.run(`echo done; ${zeros("large", 2 * MB)}; ${zeros("small", 10)}`, ["large", "small"]);
    expect(job).toMatchObject({ state: "done", attempt: 1, result: { exitCode: 0, stdout: { content: "done\n" } } });
    expect(job.result?.outputs).toEqual([
      { path: "large", error: "cannot be stored: the store of blobs cannot be reached: retry later" },
      { path: "small", bytes: 10, sha256: expect.any(String) },
    ]);
    const config = loadConfig({ LONGSHORE_DATA: data.path, LONGSHORE_QUEUE: "bucket" });
    using blobs = new Blobs({
      redis: longshore.api.api.redis,
      queue: "bucket",
      storage: openBlobStorage(config, longshore.api.api.redis),
      bytesMax: MB,
    });
    expect(await blobs.touch([`sha256:${sha256(Buffer.alloc(2 * MB))}`], longshore.api.store.holderOf(job.id))).toEqual(
      [false],
    );
  });
});
