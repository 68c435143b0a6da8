/** Jobs and the workers that have their images: real workers, each with a data directory of its own. */
import { mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { RunJob } from "../../../shared/job.ts";
import { WorkerRegistry } from "../../../shared/workers.ts";
import { ImageStore } from "../../../worker/images/store.ts";
import { type DataDirectory, makeDataDirectory } from "../../support/images.ts";
import { type RedisServer, startRedis } from "../../support/redis.ts";
import { type DockerRegistry, startRegistry } from "../../support/registry/docker-registry.ts";
import { JobImages } from "../../support/registry/job-images.ts";
import { type Proxy, startProxy } from "../../support/registry/proxy.ts";
import { startWorkerProcess, type WorkerProcess } from "../../support/worker.ts";
import { Client } from "./client.ts";

let directory: string;
let data: DataDirectory;
let redis: RedisServer;
let client: Client;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "longshore-placement-"));
  data = await makeDataDirectory("bash");
});

afterAll(async () => {
  await data[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

beforeEach(async () => {
  redis = await startRedis();
  client = await Client.open(redis.url);
});

afterEach(async () => {
  await client[Symbol.asyncDispose]();
  await redis.stop();
});

/** Starts a worker of one slot, without images, that everyone can see. */
async function start(environment: Readonly<Record<string, string>> = {}): Promise<WorkerProcess> {
  const path = environment["LONGSHORE_DATA"] ?? (await mkdtemp(join(directory, "data-")));
  const worker = startWorkerProcess({
    REDIS_URL: redis.url,
    LONGSHORE_SLOTS: "1",
    ...environment,
    LONGSHORE_DATA: path,
  });
  const id = await worker.id;
  const registry = new WorkerRegistry(client.redis, "longshore");
  // It takes jobs before its first heartbeat.
  await expect.poll(async () => (await registry.list()).map((live) => live.id)).toContain(id);
  return worker;
}

/** Starts a worker that has this machine's images. */
async function startHaving(): Promise<WorkerProcess> {
  const path = await mkdtemp(join(directory, "data-"));
  await symlink(data.images.directory, join(path, "images"));
  return await start({ LONGSHORE_DATA: path });
}

const outputOf = (job: RunJob): string | undefined => job.result?.stdout.content;
const say = (word: string): Record<string, unknown> => ({ language: "bash", source: `echo ${word}` });
/** Runs until it is canceled. */
const endless = { language: "bash", source: "echo begun; sleep 1000", limits: { wallTimeMs: 600_000 } };

describe("a job whose image one of the workers has, and none may pull", () => {
  it("is done by that worker, however often another one is asked first, and by its first attempt", async () => {
    await using _lacking = await start();
    await using having = await startHaving();
    const jobs = await Promise.all(["a", "b", "c", "d", "e", "f"].map((word) => client.run(say(word))));
    expect(jobs.map(outputOf)).toEqual(["a\n", "b\n", "c\n", "d\n", "e\n", "f\n"]);
    const id = await having.id;
    expect(jobs.map(({ attempt, result }) => [attempt, result?.worker])).toEqual(jobs.map(() => [1, id]));
    for (const job of jobs) expect(client.reportsOf(job.id)).toBe(1);
  });

  it("waits for that worker while it is busy, in the queue and not in a loop", async () => {
    await using having = await startHaving();
    await using lacking = await start();
    const first = await client.post(endless);
    expect(await client.started(first)).toMatchObject({ state: "running" });
    const second = await client.post(say("later"));
    const handOvers = async (): Promise<number> => {
      const metrics = await (await fetch(`http://127.0.0.1:${await lacking.ready}/metrics`)).text();
      return Number(/^longshore_jobs_handed_over_total(?:\{.*\})? (\d+)$/m.exec(metrics)?.[1]);
    };
    // Pauses double from 50 ms on: so often takes a second at least, where a loop would have come by a thousand times.
    await expect.poll(handOvers, { timeout: 20_000 }).toBeGreaterThanOrEqual(6);
    expect(await handOvers()).toBeLessThan(20);
    expect(await client.store.get(second)).toMatchObject({ state: "queued", attempt: 0 });
    await client.store.cancel(first);
    const done = await client.finished(second);
    expect([outputOf(done), done.result?.worker]).toEqual(["later\n", await having.id]);
  });

  it("can be canceled meanwhile", async () => {
    await using _having = await startHaving();
    await using _lacking = await start();
    const first = await client.post(endless);
    await client.started(first);
    const second = await client.post(say("never"));
    expect(await client.store.cancel(second)).toBe("canceled");
    expect(await client.finished(second)).toMatchObject({ state: "canceled", result: null });
    await client.store.cancel(first);
    expect(await client.finished(first)).toMatchObject({ state: "canceled" });
    expect(outputOf(await client.run(say("next")))).toBe("next\n");
  });

  it("fails when that worker has gone, and says what to do", async () => {
    await using _lacking = await start();
    const having = await startHaving();
    const first = await client.post(endless);
    await client.started(first);
    const second = await client.post(say("nobody"));
    // It tells everyone that it ends, and its own job goes back to the queue.
    await having[Symbol.asyncDispose]();
    for (const id of [first, second]) {
      const job = await client.finished(id);
      expect(job).toMatchObject({ state: "failed", error: { code: "image_unavailable" } });
      expect(job.error?.message).toContain("longshore images build bash");
      expect(client.reportsOf(id)).toBe(1);
    }
  });
});

describe("a job whose image is being pulled", () => {
  let registry: DockerRegistry;
  let proxy: Proxy;
  let images: JobImages;

  beforeAll(async () => {
    registry = await startRegistry();
    proxy = await startProxy(registry.host);
    images = await JobImages.open(registry.host);
    for (const name of ["runs", "shards", "waits", "fails", "moves"])
      await images.publish(`${name}:1`, 'ENTRYPOINT ["echo"]\nCMD ["slow"]\nCOPY mark /', { mark: name });
  });

  afterAll(async () => {
    await images[Symbol.asyncDispose]();
    await proxy[Symbol.asyncDispose]();
    await registry[Symbol.asyncDispose]();
  });

  /** Holds back what is asked for of blobs; resolves with what lets it go, when the first has been asked for. */
  function hold(): Promise<() => void> {
    const held: (() => void)[] = [];
    const first = Promise.withResolvers<() => void>();
    proxy.intercept = (request, _response, forward) => {
      if (request.url?.includes("/blobs/") !== true) return forward();
      held.push(forward);
      first.resolve(() => {
        proxy.intercept = (_next, _answer, go) => go();
        for (const go of held) go();
      });
    };
    return first.promise;
  }

  /** Starts a worker that pulls, of a store that all of these share. */
  async function startPulling(): Promise<WorkerProcess> {
    return await start({
      LONGSHORE_DATA: join(directory, "pulling"),
      LONGSHORE_PULL: "missing",
      LONGSHORE_DRAIN_MS: "0",
      LONGSHORE_PULL_REGISTRIES: proxy.host,
    });
  }

  /** A job whose image is there, as soon as it has been run once. */
  const inBase = (script: string): Record<string, unknown> => ({
    image: `${proxy.host}/base:1`,
    command: ["bash", "-c", script],
    limits: { wallTimeMs: 600_000 },
  });

  it("takes no slot: others run on it, and then it runs itself", async () => {
    await using _worker = await startPulling();
    expect(outputOf(await client.run(inBase("echo there")))).toBe("there\n");
    const held = hold();
    const slow = await client.post({ image: `${proxy.host}/runs:1` });
    const release = await held;
    for (const word of ["one", "two"]) expect(outputOf(await client.run(inBase(`echo ${word}`)))).toBe(`${word}\n`);
    expect(await client.store.get(slow)).toMatchObject({ state: "running" });
    release();
    const done = await client.finished(slow);
    expect(done).toMatchObject({ state: "done", attempt: 1 });
    expect(outputOf(done)).toBe("slow\n");
    expect(done.result?.timings.pullMs).toBeGreaterThan(0);
    expect(client.reportsOf(slow)).toBe(1);
  });

  it("takes no slot, of a sharded suite either", async () => {
    await using _worker = await startPulling();
    expect(outputOf(await client.run(inBase("echo there")))).toBe("there\n");
    const held = hold();
    const slow = await client.post({
      kind: "shard",
      image: `${proxy.host}/shards:1`,
      items: ["a", "b"],
      shards: 2,
      command: ["bash", "-c", `echo "<testsuite><testcase name='$0'/></testsuite>" > /out/junit.xml`, "{items}"],
    });
    const release = await held;
    for (const word of ["one", "two"]) expect(outputOf(await client.run(inBase(`echo ${word}`)))).toBe(`${word}\n`);
    release();
    await expect.poll(async () => (await client.store.get(slow))?.state, { timeout: 20_000 }).toBe("done");
    expect(await client.store.get(slow)).toMatchObject({
      attempt: 1,
      result: { outcome: "passed", counts: { tests: 2 } },
    });
    expect(client.reportsOf(slow)).toBe(1);
  });

  it("waits for a slot when it has its image, and can be canceled there", async () => {
    await using _worker = await startPulling();
    const held = hold();
    const slow = await client.post({ image: `${proxy.host}/waits:1` });
    const release = await held;
    const busy = await client.post(inBase("sleep 1000"));
    await client.started(busy);
    release();
    const store = await ImageStore.open(join(directory, "pulling/images"));
    await expect.poll(async () => await store.resolve(`${proxy.host}/waits:1`)).toBeDefined();
    expect(await client.store.cancel(slow)).toBe("requested");
    expect(await client.finished(slow)).toMatchObject({ state: "canceled", result: null });
    expect(await client.store.get(busy)).toMatchObject({ state: "running" });
    await client.store.cancel(busy);
    expect(await client.finished(busy)).toMatchObject({ state: "canceled" });
  });

  it("fails as its pull does, is tried again where that is worthwhile, and is reported once", async () => {
    await using _worker = await startPulling();
    expect(await client.run({ image: `${proxy.host}/none:1` })).toMatchObject({
      state: "failed",
      attempt: 1,
      error: { code: "image_not_found" },
    });
    let requests = 0;
    proxy.intercept = (request, response, forward) => {
      // More than a pull has patience for.
      if (request.url?.includes("/manifests/") === true && ++requests <= 7) response.writeHead(503).end();
      else forward();
    };
    const late = await client.run({ image: `${proxy.host}/fails:1` });
    expect(late).toMatchObject({ state: "done", attempt: 2 });
    expect(client.reportsOf(late.id)).toBe(1);
  });

  it("goes back to the queue when its worker drains, and to another one when it is killed", async () => {
    const drained = await startPulling();
    const held = hold();
    const slow = await client.post({ image: `${proxy.host}/moves:1` });
    await held;
    drained.signal("SIGTERM");
    expect(await drained.exit).toMatchObject({ code: 0 });
    expect(await client.store.get(slow)).toMatchObject({ state: "queued" });

    const again = hold();
    const killed = await startPulling();
    await again;
    killed.signal("SIGKILL");
    await killed.exit;
    proxy.intercept = (_request, _response, forward) => forward();
    await using _third = await startPulling();
    const done = await client.finished(slow);
    expect(outputOf(done)).toBe("slow\n");
    expect(client.reportsOf(slow)).toBe(1);
    await killed[Symbol.asyncDispose]();
  });
});
