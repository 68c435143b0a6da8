import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type RunJob, runJobSchema } from "../../../shared/job.ts";
import { ImageStore } from "../../../worker/images/store.ts";
import { freePort, type RedisServer, startRedis } from "../../support/redis.ts";
import { startWorkerProcess, type WorkerProcess } from "../../support/worker.ts";
import { type DockerRegistry, startRegistry } from "../../support/registry/docker-registry.ts";
import { JobImages } from "../../support/registry/job-images.ts";
import { type Proxy, startProxy } from "../../support/registry/proxy.ts";
import { Client } from "./client.ts";

const BLOB = /\/blobs\/sha256:/;
const PASSWD = "root:x:0:0::/root:/bin/bash\napp:x:500:600::/home/app:/bin/bash\nfar:x:70000:1::/:\n";
const GROUP = "root:x:0:\nstaff:x:50:app\napp:x:600:\n";
// HOME is what `base` says: an image that says none has what /etc/passwd says.
const WHO = 'id -u; id -g; id -G; pwd; echo "$HOME $A $B"; echo "$@"';

let directory: string;
let redis: RedisServer;
let registry: DockerRegistry;
let proxy: Proxy;
let images: JobImages;
let client: Client;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "longshore-job-pull-"));
  redis = await startRedis();
  registry = await startRegistry();
  proxy = await startProxy(registry.host);
  images = await JobImages.open(registry.host);
  const say = (word: string) => `ENTRYPOINT ["echo"]\nCMD ["${word}"]`;
  await images.publish("library/hello:latest", say("hello"));
  await images.publish("library/bash:latest", say("not the language"));
  for (const name of ["one", "shared", "slow", "moved"])
    await images.publish(`${name}:1`, `${say(name)}\nCOPY mark /`, { mark: name });
  const tables = "COPY passwd group /etc/\nENV A=1 B=2";
  const files = { passwd: PASSWD, group: GROUP };
  const entry = `ENTRYPOINT ${JSON.stringify(["bash", "-c", WHO, "bash"])}\nCMD ["one", "two"]`;
  await images.publish("who:app", `${tables}\nUSER app\nWORKDIR /srv/app\n${entry}`, files);
  await images.publish("who:group", `${tables}\nUSER 500:staff\nWORKDIR /\n${entry}`, files);
  await images.publish("who:root", `${tables}\nUSER root\n${entry}`, files);
  for (const user of ["far", "absent", "65536"]) await images.publish(`who:${user}`, `${tables}\nUSER ${user}`, files);
  client = await Client.open(redis.url);
});

afterAll(async () => {
  await client[Symbol.asyncDispose]();
  await images[Symbol.asyncDispose]();
  await proxy[Symbol.asyncDispose]();
  await registry[Symbol.asyncDispose]();
  await redis.stop();
  await rm(directory, { recursive: true, force: true });
});

beforeEach(() => {
  proxy.seen.length = 0;
  proxy.intercept = (_request, _response, forward) => forward();
});

/** A worker that has no image at first. */
async function start(environment: Readonly<Record<string, string>> = {}): Promise<WorkerProcess> {
  const data = environment["LONGSHORE_DATA"] ?? (await mkdtemp(join(directory, "data-")));
  const worker = startWorkerProcess({
    REDIS_URL: redis.url,
    LONGSHORE_SLOTS: "2",
    LONGSHORE_PULL: "missing",
    LONGSHORE_PULL_REGISTRIES: proxy.host,
    ...environment,
    LONGSHORE_DATA: data,
  });
  await worker.ready;
  return worker;
}

const linesOf = (job: RunJob): string[] => job.result?.stdout.content.trimEnd().split("\n") ?? [];

describe("a job whose image its worker does not have", () => {
  it("has it pulled, says how long that took, and the next one finds it there", async () => {
    await using _worker = await start();
    const image = `${proxy.host}/one:1`;
    const first = await client.run({ image });
    expect(runJobSchema.parse(first)).toEqual(first);
    expect(linesOf(first)).toEqual(["one"]);
    expect(first.result?.timings.pullMs).toBeGreaterThan(0);
    proxy.seen.length = 0;
    const second = await client.run({ image });
    expect(linesOf(second)).toEqual(["one"]);
    expect(second.result?.timings.pullMs).toBe(0);
    expect(proxy.seen).toEqual([]);
  });

  it("waits for the pull of another one, also on a worker that shares its store", async () => {
    const data = await mkdtemp(join(directory, "shared-"));
    await using _one = await start({ LONGSHORE_DATA: data });
    await using _other = await start({ LONGSHORE_DATA: data });
    const jobs = await Promise.all(Array.from({ length: 6 }, () => client.run({ image: `${proxy.host}/shared:1` })));
    expect(jobs.map((job) => job.error ?? linesOf(job))).toEqual(jobs.map(() => ["shared"]));
    const layers = (await (await ImageStore.open(join(data, "images"))).list())[0]?.manifest.layers ?? [];
    expect(layers.length).toBeGreaterThan(1);
    for (const { digest } of layers) expect(proxy.requests("GET", new RegExp(digest))).toHaveLength(1);
  });

  it("is done by any worker, each of which pulls for itself", async () => {
    const job = (wait: string) => ({ image: `${proxy.host}/one:1`, command: ["bash", "-c", wait] });
    await using one = await start({ LONGSHORE_SLOTS: "1" });
    const first = await client.run(job("true"));
    // It holds its only place until the second one runs.
    const id = await client.post(job("sleep 1000"));
    await client.started(id);
    await using other = await start({ LONGSHORE_SLOTS: "1" });
    const second = await client.run(job("true"));
    await client.store.cancel(id);
    expect(second.result?.timings.pullMs).toBeGreaterThan(0);
    expect([first.result?.worker, second.result?.worker]).toEqual([await one.id, await other.id]);
    await client.finished(id);
    const { digest = "" } = /(?<digest>sha256:\w+)/.exec(proxy.requests("GET", BLOB)[0]?.url ?? "")?.groups ?? {};
    expect(proxy.requests("GET", new RegExp(digest)).length).toBe(2);
  });

  it("fails at once, and nobody is asked, when nothing may be pulled", async () => {
    await using _worker = await start({ LONGSHORE_PULL: "never" });
    const job = await client.run({ image: `${proxy.host}/one:1` });
    expect(job).toMatchObject({ state: "failed", attempt: 1, error: { code: "pull_forbidden" } });
    expect(job.error?.message).toContain("LONGSHORE_PULL is never");
    expect(proxy.seen).toEqual([]);
  });

  it("fails at once, and nobody is asked, when its registry is none of those that may be", async () => {
    await using _worker = await start({ LONGSHORE_PULL_REGISTRIES: "docker.io" });
    const job = await client.run({ image: `${proxy.host}/one:1` });
    expect(job).toMatchObject({ state: "failed", attempt: 1, error: { code: "pull_forbidden" } });
    expect(job.error?.message).toContain(`may not pull from ${proxy.host}: see LONGSHORE_PULL_REGISTRIES`);
    expect(proxy.seen).toEqual([]);
  });

  it("says what the registry says: that there is none, that it is not for us, that it is not there", async () => {
    const closed = `127.0.0.1:${await freePort()}`;
    await using _worker = await start({
      LONGSHORE_ATTEMPTS: "1",
      LONGSHORE_PULL_REGISTRIES: `${proxy.host},${closed},nowhere.invalid`,
    });
    const errorOf = async (image: string) => (await client.run({ image, command: ["true"] })).error;
    const missing = await errorOf(`${proxy.host}/none:1`);
    expect(missing).toMatchObject({ code: "image_not_found", message: expect.stringContaining("not found") });
    expect(await errorOf("NoReference")).toMatchObject({ code: "image_not_found" });
    expect(await errorOf(`sha256:${"0".repeat(64)}`)).toMatchObject({ code: "image_not_found" });
    expect(await errorOf(`${closed}/a:1`)).toMatchObject({
      code: "registry_unreachable",
      message: expect.stringContaining("ECONNREFUSED"),
    });
    expect(await errorOf("nowhere.invalid/a:1")).toMatchObject({ code: "registry_unreachable" });
    proxy.intercept = (_request, response) => void response.writeHead(403).end();
    expect(await errorOf(`${proxy.host}/one:1`)).toMatchObject({ code: "pull_forbidden" });
    proxy.intercept = (_request, response) => void response.writeHead(200).end("<html>");
    expect(await errorOf(`${proxy.host}/one:1`)).toMatchObject({ code: "image_unusable" });
  });

  it("is canceled in the middle of a pull, which goes on for the others and ends with the last", async () => {
    await using _worker = await start();
    const held = Promise.withResolvers<void>();
    let release: (() => void)[] = [];
    let closed = 0;
    proxy.intercept = (request, response, forward) => {
      if (request.url?.includes("/blobs/") !== true) return forward();
      response.once("close", () => (closed += response.writableFinished ? 0 : 1));
      release.push(forward);
      held.resolve();
    };
    const ids = await Promise.all([1, 2].map(() => client.post({ image: `${proxy.host}/slow:1` })));
    const [first = "", second = ""] = ids;
    await held.promise;
    for (const id of ids) await client.started(id);
    expect(await client.store.cancel(first)).toBe("requested");
    expect(await client.finished(first)).toMatchObject({ state: "canceled", result: null });
    expect(closed).toBe(0);
    proxy.intercept = (_request, _response, forward) => forward();
    for (const forward of release) forward();
    expect(linesOf(await client.finished(second))).toEqual(["slow"]);

    release = [];
    const held2 = Promise.withResolvers<void>();
    proxy.intercept = (request, response, forward) => {
      if (request.url?.includes("/blobs/") !== true) return forward();
      response.once("close", () => (closed += response.writableFinished ? 0 : 1));
      held2.resolve();
    };
    const third = await client.post({ image: `${proxy.host}/moved:1` });
    await held2.promise;
    expect(await client.store.cancel(third)).toBe("requested");
    expect(await client.finished(third)).toMatchObject({ state: "canceled" });
    await expect.poll(() => closed).toBeGreaterThan(0);
  });
});

describe("a name", () => {
  it("that is short means Docker Hub, by way of its mirror", async () => {
    const mirrors = { LONGSHORE_REGISTRY_MIRRORS: `docker.io=${proxy.host}` };
    await using _worker = await start({ ...mirrors, LONGSHORE_PULL_REGISTRIES: "docker.io" });
    expect(linesOf(await client.run({ image: "hello" }))).toEqual(["hello"]);
    proxy.seen.length = 0;
    for (const image of ["hello", "library/hello:latest", "docker.io/library/hello:latest"])
      expect(linesOf(await client.run({ image }))).toEqual(["hello"]);
    expect(proxy.seen).toEqual([]);
  });

  it("of a language's image is not asked for anywhere: it is built, never pulled", async () => {
    const mirrors = { LONGSHORE_REGISTRY_MIRRORS: `docker.io=${proxy.host}` };
    await using _worker = await start({ ...mirrors, LONGSHORE_PULL_REGISTRIES: "docker.io" });
    expect(linesOf(await client.run({ image: "bash" }))).toEqual(["not the language"]);
    proxy.seen.length = 0;
    const job = await client.run({ language: "bash", source: "true" });
    expect(job.error).toMatchObject({
      code: "image_unavailable",
      message: expect.stringContaining("images build bash"),
    });
    expect(proxy.seen).toEqual([]);
  });

  it("that has moved to another image is noticed when the registry is always asked, and then only", async () => {
    const data = await mkdtemp(join(directory, "moved-"));
    const image = `${proxy.host}/moved:1`;
    {
      await using _worker = await start({ LONGSHORE_DATA: data });
      expect(linesOf(await client.run({ image }))).toEqual(["moved"]);
      const digest = await images.publish("moved:1", 'ENTRYPOINT ["echo"]\nCMD ["elsewhere"]');
      expect(linesOf(await client.run({ image }))).toEqual(["moved"]);
      const pinned = `${proxy.host}/moved@${digest}`;
      expect(linesOf(await client.run({ image: pinned }))).toEqual(["elsewhere"]);
    }
    await using _worker = await start({ LONGSHORE_DATA: data, LONGSHORE_PULL: "always", LONGSHORE_ATTEMPTS: "1" });
    proxy.seen.length = 0;
    const job = await client.run({ image });
    expect(linesOf(job)).toEqual(["elsewhere"]);
    expect(job.result?.timings.pullMs).toBeGreaterThan(0);
    expect(proxy.requests("GET", BLOB)).toEqual([]);
    // No registry, no job; but a digest cannot have moved.
    const { image: digest = "" } = job.result ?? {};
    proxy.intercept = (_request, response) => void response.writeHead(404).end();
    expect((await client.run({ image })).error?.code).toBe("image_not_found");
    expect(linesOf(await client.run({ image: digest }))).toEqual(["elsewhere"]);
  });
});

describe("what an image says of its processes", () => {
  let worker: WorkerProcess;
  beforeAll(async () => void (worker = await start()));
  afterAll(() => worker[Symbol.asyncDispose]());

  it("is done: user by name with its groups, environment, working directory, entry point", async () => {
    const job = await client.run({ image: `${proxy.host}/who:app`, environment: { B: "mine" } });
    expect(linesOf(job)).toEqual(["500", "600", "600 50", "/srv/app", "/work 1 mine", "one two"]);
  });

  it("is done with a group by name, which leaves out the others, and with arguments in place of Cmd", async () => {
    const job = await client.run({ image: `${proxy.host}/who:group`, arguments: ["three"] });
    expect(linesOf(job)).toEqual(["500", "50", "50", "/work", "/work 1 2", "three"]);
  });

  it("gives way to the command and the directory that a job names", async () => {
    const command = ["bash", "-c", 'pwd; echo "$A"'];
    const job = await client.run({ image: `${proxy.host}/who:app`, command, workingDirectory: "/tmp/x" });
    expect(linesOf(job)).toEqual(["/tmp/x", "1"]);
  });

  it("makes root of its own ids at most, without a capability", async () => {
    const command = [
      "bash",
      "-c",
      "id -u; grep -c 'CapEff:.0*$' /proc/self/status; mount -t tmpfs none /mnt && echo no",
    ];
    const job = await client.run({ image: `${proxy.host}/who:root`, command });
    expect(linesOf(job)).toEqual(["0", "1"]);
  });

  it.each([
    ["far", 'its user is "far": the id "70000" of far is not from 0 to 65535'],
    ["65536", 'its user is "65536": the id 65536 is not from 0 to 65535'],
    ["absent", 'its user is "absent": user absent is not in the image\'s /etc/passwd'],
  ])("is refused where a container has no such user: %s", async (user, message) => {
    const job = await client.run({ image: `${proxy.host}/who:${user}`, command: ["true"] });
    expect(job).toMatchObject({ state: "failed", attempt: 1, error: { code: "image_unusable" } });
    expect(job.error?.message).toContain(message);
  });
});
