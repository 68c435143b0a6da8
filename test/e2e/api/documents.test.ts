import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { errorCodes, errorTable } from "../../../shared/errors.ts";
import { WorkerRegistry, type WorkerInfo } from "../../../shared/workers.ts";
import { program, startApi, type RunningApi } from "../../support/api.ts";
import { startRedis, type RedisServer } from "../../support/redis.ts";

let redis: RedisServer;
let api: RunningApi;
let registry: WorkerRegistry;
beforeAll(async () => {
  redis = await startRedis();
  api = await startApi(redis.url);
  registry = new WorkerRegistry(api.api.redis, "longshore");
});
afterAll(async () => {
  await api[Symbol.asyncDispose]();
  await redis.stop();
});
beforeEach(async () => void (await api.api.redis.flushall()));

const python = { reference: "python", digest: `sha256:${"1".repeat(64)}`, layers: 2, bytes: 1000 };
const otherPython = { ...python, digest: `sha256:${"2".repeat(64)}` };

const worker = (id: string, images: WorkerInfo["images"]): WorkerInfo => ({
  id,
  host: "node-1",
  version: "0.1.0",
  slots: { total: 2, busy: 1 },
  images,
  imageStore: { layers: 0, bytes: 0, blobBytes: 0 },
  volumes: [{ name: "datasets", mode: "ro" }],
  cgroupVersion: 2,
  kernel: "6.1.0",
  startedAt: "2026-01-01T00:00:00.000Z",
});

const read = async (path: string): Promise<unknown> => await (await api.fetch(path)).json();

describe("the installation", () => {
  test("has no workers and no images at first, and is not ready", async () => {
    expect(await read("/v1/workers")).toEqual({ workers: [] });
    expect(await read("/v1/images")).toEqual({ images: [] });
    expect(await read("/readyz")).toMatchObject({ error: { code: "no_worker" } });
    expect((await api.fetch("/readyz")).status).toBe(503);
    expect(await read("/healthz")).toMatchObject({ status: "ok" });
  });

  test("is ready as soon as a worker is alive", async () => {
    await registry.announce(worker("a", []));
    expect(await read("/readyz")).toEqual({ status: "ready", workers: 1 });
    expect(await read("/v1/workers")).toEqual({ workers: [worker("a", [])] });
  });

  test("lists each image once, with the workers that have it", async () => {
    await registry.announce(worker("a", [python]));
    await registry.announce(worker("b", [python, otherPython]));
    expect(await read("/v1/images")).toEqual({
      images: [
        { ...python, workers: ["a", "b"] },
        { ...otherPython, workers: ["b"] },
      ],
    });
  });

  test("lists its languages, and which of them a worker could run now", async () => {
    await registry.announce(worker("a", [python]));
    const { languages } = (await read("/v1/languages")) as { languages: { language: string; available: boolean }[] };
    expect(languages.map(({ language }) => language)).toEqual(expect.arrayContaining(["bash", "c", "cpp", "python"]));
    expect(languages.filter(({ available }) => available).map(({ language }) => language)).toEqual(["python"]);
  });
});

interface Operation {
  readonly responses: Readonly<Record<string, { readonly description: string }>>;
  readonly security?: unknown;
}

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

async function documentOf({ fetch }: RunningApi): Promise<Document> {
  return (await (await fetch("/openapi.json")).json()) as Document;
}

describe("/openapi.json", () => {
  test("describes every route, and nothing else", async () => {
    const described = Object.entries((await documentOf(api)).paths).flatMap(([path, operations]) =>
      Object.keys(operations).map((method) => `${method} ${path}`),
    );
    const served = api.api.routes.map(({ method, path }) => `${method} ${path.replace("*}", "}")}`);
    expect(described.toSorted((a, b) => a.localeCompare(b))).toEqual(served.toSorted((a, b) => a.localeCompare(b)));
  });

  test("names every code that an answer can have, under its status, and no code of jobs", async () => {
    await using withKeys = await startApi(redis.url, { LONGSHORE_API_KEYS: "0".repeat(64) });
    const documents = [await documentOf(api), await documentOf(withKeys)];
    const responses = documents.flatMap(({ paths }) =>
      Object.values(paths).flatMap((operations) =>
        Object.values(operations).flatMap((operation) => Object.entries(operation.responses)),
      ),
    );
    const named = new Set(
      responses.flatMap(([status, { description }]) =>
        [...description.matchAll(/`(\w+)`: /g)].map(([, code]) => `${code} ${status}`),
      ),
    );
    // These two answer what no route has, so no route can name them.
    const everywhere = new Set(["not_found", "method_not_allowed"]);
    for (const code of errorCodes) {
      const { status } = errorTable[code];
      if (everywhere.has(code)) continue;
      expect([code, named.has(`${code} ${status}`)]).toEqual([code, status !== null]);
    }
  });

  test("has the limits' ranges from the table that validates", async () => {
    const { components } = (await read("/openapi.json")) as { components: { schemas: Record<string, unknown> } };
    expect(components.schemas["RunRequest"]).toMatchObject({
      additionalProperties: false,
      properties: {
        limits: { properties: { processes: { type: "integer", minimum: 1, maximum: 1024, default: 64 } } },
      },
    });
    expect(Object.keys(components.schemas)).toEqual(expect.arrayContaining(["Job", "JobResult", "Error", "Worker"]));
  });

  test("has references that lead somewhere", async () => {
    const text = await (await api.fetch("/openapi.json")).text();
    const { components } = JSON.parse(text) as { components: { schemas: Record<string, unknown> } };
    const references = [...text.matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)].map(([, name]) => name);
    expect(references.length).toBeGreaterThan(10);
    expect(Object.keys(components.schemas)).toEqual(expect.arrayContaining(references));
  });

  test("asks for a key only where there are keys", async () => {
    await using withKeys = await startApi(redis.url, { LONGSHORE_API_KEYS: "0".repeat(64) });
    const { paths } = await documentOf(withKeys);
    expect(paths["/v1/jobs"]?.["post"]?.security).toEqual([{ key: [] }]);
    expect(paths["/healthz"]?.["get"]?.security).toBeUndefined();
    expect((await documentOf(api)).paths["/v1/jobs"]?.["post"]?.security).toBeUndefined();
  });
});

describe("/docs", () => {
  test("loads nothing from elsewhere and nothing inline", async () => {
    const response = await api.fetch("/docs");
    const page = await response.text();
    expect(response.headers.get("content-security-policy")).not.toMatch(/unsafe|https?:|\*/);
    expect(page).not.toMatch(/https?:\/\//);
    expect(page).not.toMatch(/<script>|<style|\son\w+=/);
    const links = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, link = ""]) => link);
    expect(links).toHaveLength(4);
    for (const link of links) {
      const asset = await api.fetch(link);
      expect([link, asset.status]).toEqual([link, 200]);
      expect((await asset.arrayBuffer()).byteLength).toBeGreaterThan(100);
    }
  });

  test("has a style sheet that loads nothing from elsewhere", async () => {
    const style = await (await api.fetch("/docs/swagger-ui.css")).text();
    expect(style).not.toMatch(/url\(["']?(?!["']?data:)/);
    expect(style).not.toContain("@import");
  });
});

describe("/metrics", () => {
  const metrics = async (): Promise<string> => await (await api.fetch("/metrics")).text();

  test("has what Prometheus is to see of the API", async () => {
    await api.accept();
    await api.accept();
    await api.post({});
    await api.api.redis.set("unrelated", "x");
    const text = await metrics();
    expect(text).toContain('longshore_jobs_rejected_total{reason="invalid_request",service="api"} 1');
    expect(text).toMatch(/^longshore_jobs_accepted_total\{service="api"\} \d+$/m);
    expect(text).toContain('longshore_queue_jobs{state="queued",service="api"} 2');
    expect(text).toContain('longshore_queue_jobs{state="running",service="api"} 0');
    expect(text).toMatch(/^longshore_queue_oldest_age_seconds\{state="queued",service="api"\} 0\.\d+$/m);
    expect(text).toContain('longshore_redis_up{service="api"} 1');
    expect(text).toMatch(/^longshore_build_info\{version="\d+\.\d+\.\d+",node="v\d+\.\d+\.\d+",service="api"\} 1$/m);
    expect(text).toContain("longshore_process_cpu_seconds_total");
    expect(text).toMatch(/^longshore_http_request_duration_seconds_count\{.*route="\/v1\/jobs",status="202"\} \d+$/m);
  });

  test("has buckets from half a millisecond to a minute", async () => {
    await api.accept();
    const text = await metrics();
    expect(text).toContain('le="0.0005"');
    expect(text).toContain('le="60"');
  });

  test("has no label whose value a client invented", async () => {
    const invented = "zebra";
    await api.fetch(`/${invented}`);
    await api.fetch(`/v1/jobs/${invented}`);
    await api.fetch(`/v1/jobs/${invented}/outputs/${invented}?${invented}=1`);
    await api.fetch(`/docs/${invented}`, { headers: { "x-request-id": invented, host: invented } });
    await api.post({ language: invented, source: "" });
    await api.post({ ...program, image: invented }, { headers: { "idempotency-key": invented } });
    await api.fetch("/v1/jobs", { method: "PROPFIND" });
    const text = await metrics();
    expect(text).not.toContain(invented);
    expect(text).toContain('route="/v1/jobs/{id}/outputs/{path*}"');
    expect(text).toContain('route="none"');
    expect(text).toContain('method="other"');
  });
});

test("the page's swagger-ui is the one that is installed", () => {
  const path = join(import.meta.dirname, "../../../node_modules/swagger-ui-dist/swagger-ui-bundle.js");
  expect(readFileSync(path, "utf8")).toContain("SwaggerUIBundle");
});
