/** Where secrets must not turn up: those of clients, and those of the installation. */
import { createHash, randomBytes } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startApiProcess } from "../support/api-process.ts";
import { PATIENT_LIMITS } from "../support/patience.ts";
import { startRedis } from "../support/redis.ts";
import { startWorkerProcess } from "../support/worker.ts";
import { PATIENCE, Target } from "./target.ts";

/** A name of its own for each place that a client can put a secret into, so that a leak says where it comes from. */
const secretIn = (place: string): string => `${place}-${suffix}`;
const suffix = randomBytes(12).toString("hex");
const key = `key-${suffix}`;

let target: Target;
/** All that a job of ours has to hide. */
const places = [
  "source",
  "content",
  "argument",
  "value",
  "stdin",
  "idempotency",
  "stdout",
  "stderr",
  "output",
  "field",
];

beforeAll(async () => {
  target = await Target.open(1, {
    LONGSHORE_API_KEYS: createHash("sha256").update(key).digest("hex"),
    LONGSHORE_API_KEY: key,
    LONGSHORE_LOG_LEVEL: "trace",
    AWS_SECRET_ACCESS_KEY: secretIn("aws"),
  });
});
afterAll(() => target[Symbol.asyncDispose]());

/** Sends a request as the holder of the key. */
async function send(body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  return await fetch(`${target.url}/v1/jobs?wait=30`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${key}`, ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
}

/** For a program to print backwards, so that its source does not hold it. */
const backwards = (place: string): string => `"".join(reversed("${secretIn(place).split("").toReversed().join("")}"))`;

const source = `# ${secretIn("source")}
import sys, os
sys.stdout.write(os.environ["SECRET"][::-1])
open("out", "w").write(${backwards("output")})
sys.stderr.write(${backwards("stderr")})
print(${backwards("stdout")})`;

const request = {
  language: "python",
  source,
  files: [{ path: "file", content: secretIn("content") }],
  arguments: [secretIn("argument")],
  environment: { SECRET: secretIn("value") },
  stdin: secretIn("stdin"),
  outputs: ["out"],
  limits: PATIENT_LIMITS,
};

/** Requests that are refused, or fail, for different reasons and with secrets in their faults. */
const FAULTY: readonly unknown[] = [
  { ...request, limits: { cpus: secretIn("field") } },
  { ...request, rootfs: secretIn("field") },
  { ...request, language: secretIn("field") },
  { language: "python", source, files: [{ path: `../${secretIn("field")}`, content: "" }] },
  { ...request, language: undefined, image: "no/such", command: [secretIn("field")], source: undefined },
  `{"language": "python", "source": "${secretIn("field")}`,
  `{"stdin": ${secretIn("field")}}`,
  { ...request, source: `raise SystemExit("${secretIn("source")}")` },
  { ...request, limits: { memoryBytes: 4 * 1024 * 1024, diskBytes: 4096 } },
];

describe("what clients send and get", () => {
  test("is in no line of any log, at the finest level, whatever became of it", async () => {
    const answer = await send(request, { "idempotency-key": secretIn("idempotency") });
    expect(await answer.json()).toMatchObject({ state: "done", result: { exitCode: 0, outputs: [{ path: "out" }] } });
    for (const body of FAULTY) await (await send(body)).body?.cancel();
    await fetch(`${target.url}/v1/workers`, { headers: { authorization: `Bearer ${secretIn("field")}` } });
    const log = target.log.join("\n");
    // It is logged what happened, and by whom it was asked for.
    expect(log).toContain("/v1/jobs");
    expect(log.split("\n").length).toBeGreaterThan(10);
    const found = [...places.map(secretIn), key].filter((secret) => log.includes(secret));
    expect(found).toEqual([]);
  });

  test("is in no name of a key of Redis, and the client's key nowhere in it", async () => {
    const redis = new Redis(target.redisUrl);
    const names = await redis.keys("*");
    expect(names.length).toBeGreaterThan(5);
    expect([...places.map(secretIn), key].filter((secret) => names.some((name) => name.includes(secret)))).toEqual([]);
    const dumps = await Promise.all(names.map((name) => redis.dumpBuffer(name)));
    redis.disconnect();
    const content = Buffer.concat(dumps.map((dump) => dump ?? Buffer.alloc(0)));
    expect(content.includes(key)).toBe(false);
    expect(content.includes(createHash("sha256").update(secretIn("field")).digest("hex"))).toBe(false);
  });
});

describe("the password of Redis", () => {
  test("is in no log, though Redis refuses it", async () => {
    await using redis = await startRedis({ requirepass: `another-${suffix}` });
    const password = secretIn("password");
    const environment = {
      REDIS_URL: `redis://:${password}@127.0.0.1:${redis.port}`,
      LONGSHORE_LOG_LEVEL: "trace",
      LONGSHORE_METRICS_PORT: "0",
    };
    await using api = startApiProcess(environment);
    await api.listening();
    await expect.poll(() => api.lines.some((line) => line.includes("WRONGPASS")), PATIENCE).toBe(true);
    expect([...api.lines, ...api.complaints].filter((line) => line.includes(password))).toEqual([]);
    const worker = startWorkerProcess(environment);
    const { complaints, code } = await worker.exit;
    expect(code).not.toBe(0);
    expect(complaints).not.toContain(password);
  });
});

describe("what the installation has", () => {
  const all = `
import os
found = [dict(os.environ)]
for name in os.listdir("/proc"):
    if not name.isdigit(): continue
    for file in ("environ", "cmdline"):
        try: found.append(open(f"/proc/{name}/{file}", "rb").read())
        except OSError: pass
print(found)`;

  test("is not in the environment of a container", async () => {
    const { result } = (await (await send({ language: "python", source: all, limits: PATIENT_LIMITS })).json()) as {
      result: { exitCode: number; stdout: { content: string } };
    };
    expect(result.exitCode).toBe(0);
    const secrets = [key, suffix, new URL(target.redisUrl).password, "LONGSHORE_", "REDIS_URL", "AWS_"];
    expect(secrets.filter((secret) => result.stdout.content.includes(secret))).toEqual([]);
  });

  test("is not on the command line of any process, which every user of the machine can read", () => {
    const lines = readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .map((pid) => commandLineOf(pid));
    expect(lines.some((line) => line.includes("worker/main.ts"))).toBe(true);
    const { password } = new URL(target.redisUrl);
    expect(password.length).toBeGreaterThan(16);
    expect(lines.filter((line) => line.includes(password) || line.includes(key))).toEqual([]);
  });

  test("is not in what the API tells anybody", async () => {
    const { password } = new URL(target.redisUrl);
    const headers = { authorization: `Bearer ${key}` };
    for (const path of [
      "/metrics",
      "/openapi.json",
      "/docs",
      "/healthz",
      "/v1/workers",
      "/v1/languages",
      "/v1/images",
    ]) {
      const answer = await (await fetch(`${target.url}${path}`, { headers })).text();
      expect([path, [password, key, secretIn("aws"), "/var/lib"].filter((secret) => answer.includes(secret))]).toEqual([
        path,
        [],
      ]);
    }
  });
});

function commandLineOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch {
    // It has ended since.
    return "";
  }
}
