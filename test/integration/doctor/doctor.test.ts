import { spawnSync } from "node:child_process";
import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { bareEnvironment } from "../../support/environment.ts";
import { freePort, startRedis } from "../../support/redis.ts";

const program = join(import.meta.dirname, "../../../worker/commands/doctor.ts");

async function examine(environment: Record<string, string>, ...words: string[]) {
  await using data = await mkdtempDisposable(join(tmpdir(), "longshore-doctor-"));
  const { status, stdout } = spawnSync(process.execPath, [program, "--json", ...words], {
    env: { ...bareEnvironment(), LONGSHORE_DATA: data.path, ...environment },
    encoding: "utf8",
  });
  const findings = JSON.parse(stdout) as { name: string; status: string; detail: string; wayOut?: string }[];
  return { status, findings, redis: findings.find(({ name }) => name === "redis") };
}

describe("longshore doctor", () => {
  it("finds this machine, on which the tests run containers, fit", async () => {
    const { status, findings } = await examine({});
    expect(findings.filter((finding) => finding.status === "missing")).toEqual([]);
    expect(findings.map(({ name }) => name)).toEqual(
      expect.arrayContaining(["kernel", "overlay", "idmapped mounts", "seccomp", "cgroup", "redis", "disk"]),
    );
    expect(status).toBe(0);
  });

  it("finds a redis fit that loses nothing on purpose", async () => {
    await using redis = await startRedis();
    expect((await examine({ REDIS_URL: redis.url })).redis).toMatchObject({ status: "ok" });
  });

  it("calls a redis that evicts unfit, and says what to set", async () => {
    await using redis = await startRedis({ "maxmemory-policy": "allkeys-lru" });
    const { status, redis: finding } = await examine({ REDIS_URL: redis.url });
    expect(finding?.detail).toContain("redis maxmemory-policy is allkeys-lru: set it to noeviction");
    expect(status).toBe(1);
  });

  it("says so when redis does not answer, unless it was told to leave it out", async () => {
    const environment = { REDIS_URL: `redis://127.0.0.1:${await freePort()}` };
    const { status, redis } = await examine(environment);
    expect(redis).toMatchObject({ status: "missing", wayOut: "start it, or correct REDIS_URL" });
    expect(status).toBe(1);
    expect((await examine(environment, "--without", "redis")).status).toBe(0);
  });
});
