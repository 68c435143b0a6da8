import { availableParallelism } from "node:os";
import { describe, expect, test } from "vitest";
import { ConfigError, isLoopback, loadConfig, renderVariableTable } from "../../../shared/config.ts";
import { defaultMaxima, limitNames } from "../../../shared/limits.ts";

const hash = "a".repeat(64);

/** The lines that a start would end with. */
function faultsOf(environment: Record<string, string>): readonly string[] {
  try {
    loadConfig(environment);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.faults;
    throw error;
  }
}

test("an empty environment is a configuration", () => {
  expect(loadConfig({})).toEqual({
    redisUrl: "redis://127.0.0.1:6379",
    queue: "longshore",
    host: "127.0.0.1",
    port: 8080,
    apiKeys: [],
    adminKeys: [],
    queueLimit: 10_000,
    bodyBytes: 8_388_608,
    rateLimit: 0,
    resultTtlSeconds: 3600,
    attempts: 3,
    cpuset: "auto",
    dataDirectory: "/var/lib/longshore",
    slots: availableParallelism(),
    warmth: { containersMax: 4, idleMs: 300_000 },
    idBase: 1_879_048_192,
    drainMs: 30_000,
    imageLimits: {
      bytesMax: 68_719_476_736,
      layerBytesMax: 34_359_738_368,
      layerEntriesMax: 1_000_000,
      blobBytesMax: 17_179_869_184,
    },
    keptLayers: { ttlSeconds: 86_400, bytesMax: 10_737_418_240 },
    volumes: new Map(),
    platform: undefined,
    pull: { when: "never", registries: ["docker.io"] },
    insecureRegistries: [],
    privateHosts: [],
    registryMirrors: new Map(),
    blobs: { kind: "directory", path: "/var/lib/longshore/blobs" },
    s3Endpoint: undefined,
    blobBytes: 1_073_741_824,
    blobQuotaBytes: 10_737_418_240,
    blobTtlSeconds: 86_400,
    outputFilesBytes: 268_435_456,
    layerBytes: 4_294_967_296,
    layerCacheBytes: 21_474_836_480,
    buildCacheBytes: 4_294_967_296,
    caseCacheBytes: 4_294_967_296,
    metricsHost: "127.0.0.1",
    metricsPort: 9464,
    logLevel: "info",
    url: "http://127.0.0.1:8080",
    apiKey: undefined,
    maxima: defaultMaxima,
  });
});

test("variables of others are none of our business", () => {
  expect(faultsOf({ PATH: "/bin", SHORE: "x", NOT_LONGSHORE_PORT: "x" })).toEqual([]);
});

test("an unknown variable is named", () => {
  expect(faultsOf({ LONGSHORE_PROT: "80" })).toEqual([
    "LONGSHORE_PROT is unknown: see the table of variables in README.md",
  ]);
});

test("all faults are told at once, one line each", () => {
  const faults = faultsOf({ LONGSHORE_PORT: "http", LONGSHORE_SLOTS: "0", LONGSHORE_X: "", LONGSHORE_MAX_CPUS: "-1" });
  expect(new Set(faults.map((line) => line.split(" ")[0]))).toEqual(
    new Set(["LONGSHORE_PORT", "LONGSHORE_SLOTS", "LONGSHORE_X", "LONGSHORE_MAX_CPUS"]),
  );
  expect(faults).toHaveLength(4);
  expect(faults.join("")).not.toContain("\n");
});

test.each([
  ["LONGSHORE_PORT", "65536"],
  ["LONGSHORE_PORT", "8080 "],
  ["LONGSHORE_PORT", "1e3"],
  ["LONGSHORE_PORT", ""],
  ["LONGSHORE_QUEUE", "a}b"],
  ["LONGSHORE_QUEUE", ""],
  ["LONGSHORE_API_KEYS", "secret"],
  ["LONGSHORE_API_KEYS", `${hash},`],
  ["LONGSHORE_ADMIN_KEYS", "secret"],
  ["LONGSHORE_LOG_LEVEL", "verbose"],
  ["LONGSHORE_DATA", "data"],
  ["LONGSHORE_HOST", "a b"],
  ["LONGSHORE_URL", "localhost:8080"],
  ["REDIS_URL", "127.0.0.1:6379"],
  ["LONGSHORE_MAX_OUTPUT_BYTES", "999999999999"],
  ["LONGSHORE_ID_BASE", "0"],
  ["LONGSHORE_PLATFORM", "amd64"],
  ["LONGSHORE_PLATFORM", "windows/amd64"],
  ["LONGSHORE_PULL", "sometimes"],
  ["LONGSHORE_PULL_REGISTRIES", "docker.io/library"],
  ["LONGSHORE_INSECURE_REGISTRIES", "http://registry.local"],
  ["LONGSHORE_INSECURE_REGISTRIES", "a.local,"],
  ["LONGSHORE_REGISTRY_MIRRORS", "mirror.local"],
  ["LONGSHORE_REGISTRY_MIRRORS", "docker.io=https://mirror.local"],
])("%s=%s is refused by name", (name, value) => {
  expect(faultsOf({ [name]: value })).toEqual([expect.stringMatching(new RegExp(`^${name} `))]);
});

test("values are taken over", () => {
  const config = loadConfig({
    LONGSHORE_API_KEYS: `${hash}, ${hash.toUpperCase()}`,
    LONGSHORE_HOST: "0.0.0.0",
    LONGSHORE_SLOTS: "7",
    LONGSHORE_MAX_CPUS: "0.5",
    LONGSHORE_MAX_CPU_TIME_MS: "1000",
  });
  expect(config).toMatchObject({ apiKeys: [hash, hash], host: "0.0.0.0", slots: 7 });
  expect(config.maxima).toMatchObject({ cpus: 0.5, cpuTimeMs: 1000 });
});

test("the keys of administrators are keys, too", () => {
  const [other, host] = ["b".repeat(64), "192.0.2.1"];
  const both = loadConfig({ LONGSHORE_HOST: host, LONGSHORE_API_KEYS: hash, LONGSHORE_ADMIN_KEYS: other });
  expect(both).toMatchObject({ apiKeys: [hash, other], adminKeys: [other] });
  expect(loadConfig({ LONGSHORE_HOST: host, LONGSHORE_ADMIN_KEYS: other }).apiKeys).toEqual([other]);
});

test("registries are taken over", () => {
  expect(
    loadConfig({
      LONGSHORE_PLATFORM: "linux/arm/v7",
      LONGSHORE_INSECURE_REGISTRIES: "a.local, b.local:5000",
      LONGSHORE_REGISTRY_MIRRORS: "docker.io=a.local,docker.io=[::1]:5000,ghcr.io=b.local:5000",
    }),
  ).toMatchObject({
    platform: { os: "linux", architecture: "arm", variant: "v7" },
    insecureRegistries: ["a.local", "b.local:5000"],
    registryMirrors: new Map([
      ["docker.io", ["a.local", "[::1]:5000"]],
      ["ghcr.io", ["b.local:5000"]],
    ]),
  });
});

describe("without keys", () => {
  test.each(["0.0.0.0", "::", "192.0.2.1", "example.org", "localhost.example.org"])("%s is refused", (host) => {
    expect(faultsOf({ LONGSHORE_HOST: host })).toEqual([expect.stringContaining("set LONGSHORE_API_KEYS")]);
    expect(faultsOf({ LONGSHORE_HOST: host, LONGSHORE_API_KEYS: hash })).toEqual([]);
  });

  test.each(["127.0.0.1", "127.1.2.3", "::1", "localhost"])("%s is accepted", (host) => {
    expect(isLoopback(host)).toBe(true);
    expect(faultsOf({ LONGSHORE_HOST: host })).toEqual([]);
  });
});

test("the slots' ids end before those that systemd keeps for itself", () => {
  expect(faultsOf({ LONGSHORE_ID_BASE: "2147221504", LONGSHORE_SLOTS: "1" })).toEqual([]);
  expect(faultsOf({ LONGSHORE_ID_BASE: "2147221504", LONGSHORE_SLOTS: "2" })).toEqual([
    expect.stringContaining("LONGSHORE_ID_BASE"),
  ]);
});

test("the table for the README has a line for each variable and a default that is accepted", () => {
  const [, , ...rows] = renderVariableTable().split("\n");
  const cells = rows.map((row) => row.split("|").map((cell) => cell.trim().replaceAll("`", "")));
  const environment = Object.fromEntries(cells.map(([, name = "", value = ""]) => [name, value]));
  expect(Object.keys(environment)).toHaveLength(rows.length);
  expect(rows.length).toBeGreaterThan(limitNames.length);
  expect(loadConfig(environment)).toEqual(loadConfig({}));
  expect(cells.every(([, , , meaning = ""]) => meaning.length > 0)).toBe(true);
});
