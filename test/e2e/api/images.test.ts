import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import type { Job } from "../../../shared/job.ts";
import { ImageStore } from "../../../worker/images/store.ts";
import { type DockerRegistry, startRegistry } from "../../support/registry/docker-registry.ts";
import { JobImages } from "../../support/registry/job-images.ts";
import { type Proxy, startProxy } from "../../support/registry/proxy.ts";
import { startApi, type RunningApi } from "../../support/api.ts";
import { freePort, type RedisServer, startRedis } from "../../support/redis.ts";
import { startWorkerProcess, type WorkerProcess } from "../../support/worker.ts";

const sha256 = (key: string): string => createHash("sha256").update(key).digest("hex");
const BLOB = /\/blobs\/sha256:/;

let directory: string;
let redis: RedisServer;
let registry: DockerRegistry;
let proxy: Proxy;
let images: JobImages;
let api: RunningApi;
let workers: readonly WorkerProcess[];
let ids: readonly string[];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "longshore-images-"));
  redis = await startRedis();
  registry = await startRegistry();
  proxy = await startProxy(registry.host);
  images = await JobImages.open(registry.host);
  await images.publish("team/say:1", 'ENV WORD=said\nLABEL of=tests\nCMD ["bash", "-c", "echo $WORD"]\nCOPY mark /', {
    mark: "say",
  });
  await images.publish("team/slow:1", "COPY mark /", { mark: "slow" });
  await images.publish("library/short:latest", "COPY mark /", { mark: "short" });
  api = await startApi(redis.url, {
    LONGSHORE_API_KEYS: sha256("client"),
    LONGSHORE_ADMIN_KEYS: sha256("administrator"),
  });
  workers = ["one", "two"].map((name) =>
    startWorkerProcess({
      REDIS_URL: redis.url,
      LONGSHORE_SLOTS: "1",
      LONGSHORE_REGISTRY_MIRRORS: `docker.io=${proxy.host}`,
      LONGSHORE_DATA: join(directory, name),
    }),
  );
  ids = (await Promise.all(workers.map(({ id }) => id))).toSorted();
  // They take jobs before their first heartbeat.
  await vi.waitFor(async () => {
    const { workers: live } = (await (await ask("GET", "/v1/workers")).json()) as { workers: unknown[] };
    if (live.length < 2) throw new Error("not all workers are alive");
  }, 10_000);
});

afterAll(async () => {
  for (const worker of workers) await worker[Symbol.asyncDispose]();
  await api[Symbol.asyncDispose]();
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

async function ask(method: string, path: string, body?: unknown, key = "administrator"): Promise<Response> {
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  return await api.fetch(path, { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) });
}

const pull = async (reference: string, wait = "?wait=60", key?: string): Promise<Response> =>
  await ask("POST", `/v1/images${wait}`, { reference }, key);

async function answerOf(response: Response): Promise<{ status: number; body: Record<string, unknown> }> {
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

const done = (digest: unknown) => ids.map((worker) => ({ worker, state: "done", digest, error: null }));
const byWorker = ({ body }: { body: Record<string, unknown> }) =>
  (body["workers"] as { worker: string }[]).toSorted((one, other) => (one.worker < other.worker ? -1 : 1));

describe("an image of a registry", () => {
  test("is pulled on every worker, described, run, and removed from every worker", async () => {
    const reference = `${proxy.host}/team/say:1`;
    const posted = await pull(reference);
    expect(posted.headers.get("location")).toBe(`/v1/images/${reference}`);
    const answer = await answerOf(posted);
    expect(answer).toMatchObject({ status: 200, body: { action: "pull", reference } });
    const [{ digest = "" } = {}] = answer.body["workers"] as { digest?: string }[];
    expect(byWorker(answer)).toEqual(done(digest));

    // Whoever has the answer finds the image, under its name and its digest, in a path as it is.
    const stored = await (await ImageStore.open(join(directory, "one/images"))).resolve(reference);
    const config = expect.objectContaining({
      Labels: { of: "tests" },
      Cmd: ["bash", "-c", "echo $WORD"],
      Env: expect.arrayContaining(["WORD=said"]),
    });
    for (const [path, key] of [
      [reference, "administrator"],
      [digest, "administrator"],
      [encodeURIComponent(reference), "administrator"],
      // An image's environment may hold what is not for everyone.
      [reference, "client"],
    ] as const) {
      const { status, body } = await answerOf(await ask("GET", `/v1/images/${path}`, undefined, key));
      expect([path, status]).toEqual([path, 200]);
      expect(body).toEqual({
        images: [
          {
            reference,
            digest,
            layers: stored?.layers.length,
            bytes: stored?.layers.reduce((sum, layer) => sum + layer.bytes, 0),
            workers: ids,
            description: {
              created: stored?.config.created,
              platform: "linux/amd64",
              config: key === "administrator" ? config : null,
              layers: stored?.layers.map(({ digest: diffId, bytes }, index) => ({
                diffId,
                bytes,
                blob: stored.manifest.layers[index],
              })),
            },
          },
        ],
      });
    }
    const job = await ask("POST", "/v1/jobs?wait=30", { image: reference }, "client");
    expect(((await job.json()) as Job).result).toMatchObject({ image: digest, stdout: { content: "said\n" } });

    const removed = await answerOf(await ask("DELETE", `/v1/images/${reference}?wait=30`));
    expect(removed).toMatchObject({ status: 200, body: { action: "remove", reference } });
    expect(byWorker(removed)).toEqual(done(digest));
    expect((await ask("GET", `/v1/images/${reference}`)).status).toBe(404);
    const store = await ImageStore.open(join(directory, "one/images"));
    await expect.poll(async () => await store.layers.list(), { timeout: 10_000 }).toEqual([]);
    const again = await answerOf(await ask("DELETE", `/v1/images/${reference}`));
    expect(again).toMatchObject({ status: 404, body: { error: { code: "image_not_found" } } });
  });

  test("is waited for as long as the client wants, and pulled once however often it is asked for", async () => {
    const reference = `${proxy.host}/team/slow:1`;
    const held: (() => void)[] = [];
    proxy.intercept = (request, _response, forward) => {
      if (BLOB.test(request.url ?? "")) held.push(forward);
      else forward();
    };
    const first = await answerOf(await pull(reference, ""));
    expect(first.status).toBe(202);
    expect(byWorker(first)).toEqual(ids.map((worker) => ({ worker, state: "pending", digest: null, error: null })));
    expect((await pull(reference, "?wait=0.2")).status).toBe(202);
    await expect.poll(() => held.length).toBeGreaterThan(0);
    const last = pull(reference);
    proxy.intercept = (_request, _response, forward) => forward();
    for (const forward of held) forward();
    expect((await last).status).toBe(200);
    const stored = await (await ImageStore.open(join(directory, "one/images"))).resolve(reference);
    for (const { digest } of stored?.manifest.layers ?? [])
      // By each of the two workers, which have a store each.
      expect(proxy.requests("GET", new RegExp(digest))).toHaveLength(2);
  });

  test("has a short name, too", async () => {
    expect(await answerOf(await pull("short"))).toMatchObject({
      status: 200,
      body: { reference: "docker.io/library/short:latest" },
    });
    for (const name of ["short", "short:latest", "library/short", "docker.io/library/short:latest"])
      expect((await ask("GET", `/v1/images/${name}`)).status).toBe(200);
    expect(await answerOf(await ask("DELETE", "/v1/images/short?wait=30"))).toMatchObject({
      status: 200,
      body: { reference: "docker.io/library/short:latest" },
    });
  });

  test("that cannot be had is an error which says why, by worker", async () => {
    const missing = await answerOf(await pull(`${proxy.host}/none:1`));
    expect(missing).toMatchObject({ status: 404, body: { error: { code: "image_not_found" } } });
    const { details } = missing.body["error"] as { details: { path: string }[] };
    expect(details.map(({ path }) => path).toSorted()).toEqual(ids);
    const closed = await pull(`127.0.0.1:${await freePort()}/a:1`);
    expect(await answerOf(closed)).toMatchObject({ status: 502, body: { error: { code: "registry_unreachable" } } });
    proxy.intercept = (_request, response) => void response.writeHead(403).end();
    const forbidden = await answerOf(await pull(`${proxy.host}/team/say:1`));
    expect(forbidden).toMatchObject({ status: 403, body: { error: { code: "pull_forbidden" } } });
    proxy.intercept = (_request, response) => void response.writeHead(200).end("<html>");
    const unusable = await answerOf(await pull(`${proxy.host}/team/say:1`));
    expect(unusable).toMatchObject({ status: 422, body: { error: { code: "image_unusable" } } });
  });

  test.each([
    [{}, "reference"],
    [{ reference: "" }, "reference"],
    [{ reference: "Not/A/Reference" }, "reference"],
    [{ reference: "http://127.0.0.1/a" }, "reference"],
    [{ reference: `sha256:${"0".repeat(64)}` }, "reference"],
    [{ reference: "a", force: true }, "force"],
  ])("that is asked for by %j is not asked for anywhere", async (body, path) => {
    const answer = await answerOf(await ask("POST", "/v1/images", body));
    expect(answer).toMatchObject({ status: 400, body: { error: { code: "invalid_request", details: [{ path }] } } });
  });

  test("that nobody has is not found, whatever the path", async () => {
    for (const path of ["none", "../../etc/passwd", "a/../../b", "%2e%2e%2fjobs", "x".repeat(5000), "%00", "NO"])
      expect([path, (await ask("GET", `/v1/images/${path}`)).status]).toEqual([path, 404]);
  });
});

describe("who may change what is installed", () => {
  test("has a key of the administrators: any other one lists and describes only", async () => {
    const refused = await answerOf(await pull(`${proxy.host}/team/say:1`, "?wait=1", "client"));
    expect(refused).toMatchObject({ status: 403, body: { error: { code: "forbidden" } } });
    expect((await ask("DELETE", "/v1/images/short", undefined, "client")).status).toBe(403);
    expect((await pull("short", "", "wrong")).status).toBe(401);
    expect((await ask("GET", "/v1/images", undefined, "client")).status).toBe(200);
    expect((await ask("POST", "/v1/jobs", { language: "bash", source: "" })).status).toBe(202);
    expect(proxy.seen).toEqual([]);
  });

  test("is nobody where keys are set and none is an administrator's", async () => {
    await using other = await startApi(redis.url, { LONGSHORE_API_KEYS: sha256("client"), LONGSHORE_QUEUE: "other" });
    const headers = { authorization: "Bearer client", "content-type": "application/json" };
    const init = { method: "POST", headers, body: JSON.stringify({ reference: "short" }) };
    expect((await other.fetch("/v1/images", init)).status).toBe(403);
  });

  test("is everyone on this machine where no keys are set; without workers nobody can do it", async () => {
    await using open = await startApi(redis.url, { LONGSHORE_QUEUE: "open" });
    const init = { method: "POST", headers: { "content-type": "application/json" }, body: '{"reference":"short"}' };
    expect(await answerOf(await open.fetch("/v1/images", init))).toMatchObject({
      status: 503,
      body: { error: { code: "no_worker" } },
    });
  });
});

// The last one: one of the workers ends here.
test("a worker that ends in the middle of a pull is lost, and the others' answers count", async () => {
  const lastOf = async (): Promise<string> => (await workers[1]?.id) ?? "";
  const reference = `${proxy.host}/team/say:1`;
  let requests = 0;
  proxy.intercept = (request, _response, forward) => {
    // Of the two that ask for a manifest, both wait.
    if (request.url?.includes("/manifests/") !== true) return forward();
    requests += 1;
    release.push(forward);
  };
  const release: (() => void)[] = [];
  const answer = pull(reference);
  await expect.poll(() => requests).toBe(2);
  workers[1]?.signal("SIGKILL");
  await workers[1]?.exit;
  proxy.intercept = (_request, _response, forward) => forward();
  for (const forward of release) forward();
  const { status, body } = await answerOf(await answer);
  expect(status).toBe(200);
  const lost = await lastOf();
  const states = (body["workers"] as { worker: string; state: string }[]).map(({ worker, state }) => [worker, state]);
  expect(Object.fromEntries(states)).toEqual(Object.fromEntries(ids.map((id) => [id, id === lost ? "lost" : "done"])));
});
