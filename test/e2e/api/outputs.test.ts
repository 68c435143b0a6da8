import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startApi, type RunningApi } from "../../support/api.ts";
import { done, runByHand } from "../../support/jobs.ts";
import { startRedis, type RedisServer } from "../../support/redis.ts";

let redis: RedisServer;
let api: RunningApi;
beforeAll(async () => {
  redis = await startRedis();
  api = await startApi(redis.url);
});
afterAll(async () => {
  await api[Symbol.asyncDispose]();
  await redis.stop();
});

/** Runs a job that returns files, and gives the path below which they are. */
async function finished(files: Record<string, Uint8Array>): Promise<string> {
  const { id } = await api.accept();
  const outputs = Object.entries(files).map(([path, content]) => ({ path, content }));
  await runByHand(api.store, id, { ...done(""), outputs });
  return `/v1/jobs/${id}/outputs`;
}

test("a file comes back byte for byte", async () => {
  const content = randomBytes(3_000_001);
  const outputs = await finished({ "out/data.bin": content });
  const response = await api.fetch(`${outputs}/out/data.bin`);
  expect(response.status).toBe(200);
  expect(response.headers.get("content-length")).toBe("3000001");
  expect(Buffer.from(await response.arrayBuffer()).equals(content)).toBe(true);
});

test("an empty file is a file", async () => {
  const response = await api.fetch(`${await finished({ empty: new Uint8Array() })}/empty`);
  expect(response.status).toBe(200);
  expect((await response.arrayBuffer()).byteLength).toBe(0);
});

test("no browser takes it for a page of this server", async () => {
  const { headers } = await api.fetch(`${await finished({ "a/page.html": Buffer.from("<script>") })}/a/page.html`);
  expect(headers.get("content-type")).toBe("application/octet-stream");
  expect(headers.get("content-disposition")).toBe("attachment; filename=page.html");
  expect(headers.get("x-content-type-options")).toBe("nosniff");
  expect(headers.get("content-security-policy")).toContain("default-src 'none'");
});

test.each(["grüße 1.txt", "a%2Fb", 'quote".txt', "question?.txt", "line\nbreak", "日本/語"])(
  "%j is found by its name",
  async (path) => {
    const outputs = await finished({ [path]: Buffer.from(path) });
    const response = await api.fetch(`${outputs}/${path.split("/").map(encodeURIComponent).join("/")}`);
    expect(response.status).toBe(200);
    expect(await response.text()).toBe(path);
  },
);

test("HEAD tells its size and sends nothing", async () => {
  const response = await api.fetch(`${await finished({ a: Buffer.from("abc") })}/a`, { method: "HEAD" });
  expect(response.status).toBe(200);
  expect(response.headers.get("content-length")).toBe("3");
  expect(await response.text()).toBe("");
});

test("a download that nobody finishes leaves the API as it was", async () => {
  const outputs = await finished({ big: randomBytes(20_000_000) });
  const response = await api.fetch(`${outputs}/big`);
  await response.body?.cancel();
  expect((await api.fetch(`${outputs}/big`, { method: "HEAD" })).status).toBe(200);
});

describe("not found is", () => {
  test.each(["", "b", "a/", "A", "a/b", "../a"])("%j of a job that returned a", async (path) => {
    const response = await api.fetch(`${await finished({ a: Buffer.from("abc") })}/${encodeURIComponent(path)}`);
    expect(response.status).toBe(404);
  });

  test("a file of a job that nobody knows", async () => {
    const response = await api.fetch("/v1/jobs/00000000-0000-4000-8000-000000000000/outputs/a");
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ error: { code: "job_not_found" } });
  });

  test("a file of a job that is not finished", async () => {
    const { id } = await api.accept();
    const response = await api.fetch(`/v1/jobs/${id}/outputs/a`);
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ error: { code: "output_not_found" } });
  });

  test("a file that has expired", async () => {
    const outputs = await finished({ a: Buffer.from("abc") });
    const keys = await api.api.redis.keys(
      `{longshore}${outputs.replace("/v1/jobs/", ":job:").replace("/outputs", ":output:")}*`,
    );
    expect(await api.api.redis.del(...keys)).toBe(1);
    expect((await api.fetch(`${outputs}/a`)).status).toBe(404);
  });
});
