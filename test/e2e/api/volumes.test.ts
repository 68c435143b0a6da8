import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import { program, startApi, type RunningApi } from "../../support/api.ts";
import { startRedis, type RedisServer } from "../../support/redis.ts";

let redis: RedisServer;
let api: RunningApi;
beforeAll(async () => {
  redis = await startRedis();
  api = await startApi(redis.url, { LONGSHORE_VOLUMES: "datasets=/srv/datasets,cache=/srv/cache:rw" });
});
afterAll(async () => {
  await api[Symbol.asyncDispose]();
  await redis.stop();
});

/** Status and faults of a job with these fields. */
async function post(fields: object): Promise<[status: number, ...faults: string[]]> {
  const response = await api.post({ ...program, ...fields });
  const { error } = (await response.json()) as { error?: { details: { path: string; message: string }[] } };
  return [response.status, ...(error?.details ?? []).map(({ path, message }) => `${path} ${message}`)];
}

describe("volumes of a job", () => {
  it("are accepted as the operator allows them", async () => {
    const volumes = [
      { name: "datasets", at: "/data" },
      { name: "cache", at: "/work/cache", mode: "rw" },
    ];
    expect(await post({ volumes })).toEqual([202]);
  });

  it.each([
    [{ name: "other", at: "/data" }, "volumes[0].name is not known: choose one of datasets, cache"],
    [{ name: "datasets", at: "/data", mode: "rw" }, "volumes[0].mode is rw, but jobs may only read datasets"],
    [
      { name: "datasets", at: "/proc/x" },
      "volumes[0].at is / or at or below /proc, /sys or /dev, where no volume can be",
    ],
    [{ name: "datasets", at: "/" }, "volumes[0].at is / or at or below /proc, /sys or /dev, where no volume can be"],
    [{ name: "cache", at: "/work" }, "volumes[0].at would hide the file main.py"],
  ])("are refused by name and place: %j", async (volume, fault) => {
    const files = [{ path: "main.py", content: "" }];
    expect(await post({ volumes: [volume], files, workingDirectory: "/work" })).toEqual([400, fault]);
  });
});

test.each(["bridge", "host"])("a network of the mode %s is refused with the reason", async (network) => {
  expect(await post({ network })).toEqual([
    400,
    "network is none for every job: bridge and host would give programs that nobody trusts a way out of the machine",
  ]);
  expect(await post({ network: "none" })).toEqual([202]);
});
