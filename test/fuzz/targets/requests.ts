/** What clients post, and what operators configure. */
import * as fc from "fast-check";
import { ConfigError, loadConfig, renderVariableTable } from "../../../shared/config.ts";
import { LongshoreError } from "../../../shared/errors.ts";
import { type CheckedRequest, createJobRequestSchema, parseJobRequest } from "../../../shared/job-request.ts";
import { defaultMaxima } from "../../../shared/limits.ts";
import { defineTarget, insistOnRefusal } from "../target.ts";
import { valuesOf } from "../schema-values.ts";
import { hostileText, mutationsOf } from "../values.ts";

const schema = createJobRequestSchema(defaultMaxima);
const blob = `sha256:${"0".repeat(64)}`;

/** Requests that are accepted, with most of what a request can have. */
const SAMPLES: readonly unknown[] = [
  {
    kind: "run",
    image: "python",
    command: ["python3", "main.py"],
    files: [{ path: "main.py", content: "cHJpbnQoMSkK", encoding: "base64", executable: true }],
    layers: [{ blob, at: "/data" }],
    stdin: { content: "x", encoding: "utf8" },
    arguments: ["a"],
    environment: { PATH: "/bin", A: "b" },
    workingDirectory: "/work/x",
    limits: { cpus: 0.5, memoryBytes: 67_108_864 },
    outputs: ["*.txt", "out/**"],
    rootfs: "writable",
    keepLayer: true,
    volumes: [],
    network: "none",
    priority: "low",
  },
  {
    kind: "judge",
    language: "c",
    source: "int main(void) { return 0; }",
    files: [{ path: "a.h", content: "" }],
    limits: { wallTimeMs: 1000 },
    cases: [
      { name: "1", stdin: "1", expected: { blob }, points: 2, group: "g", limits: { cpuTimeMs: 100 } },
      { name: "2", stdin: { content: "AA==", encoding: "base64" }, expected: "2" },
    ],
    groups: [{ name: "g", points: 10, dependsOn: [] }],
    checker: { type: "float", tolerance: 0.1, absolute: 0.2 },
    stopOn: "group-failure",
    repeat: 2,
    priority: "high",
  },
  {
    kind: "shard",
    image: "python",
    layers: [{ blob, at: "/src" }],
    environment: { A: "b" },
    workingDirectory: "/src",
    setup: ["pip", "install", "."],
    discover: ["pytest", "--collect-only"],
    command: ["pytest", "--junitxml=/out/{shard}.xml", "{items}"],
    shards: 3,
    strategy: "dynamic",
    suite: "all",
    reportFiles: ["/out/*.xml", "reports/**"],
    retryFailed: 1,
    failFast: true,
    limits: { wallTimeMs: 1000 },
    outputs: ["*.log"],
  },
];

export const jobRequests = defineTarget({
  name: "requests of jobs",
  runs: 15_000,
  values: fc.oneof(valuesOf(schema), ...SAMPLES.map(mutationsOf)),
  open: () => (body) => {
    const checked = parse(body);
    if (checked === undefined) return;
    // What a worker is handed is what was accepted, and it comes to it as JSON.
    const again: unknown = JSON.parse(JSON.stringify(checked));
    if (JSON.stringify(parse(again)) !== JSON.stringify(checked)) throw new Error("it is read as another one again");
    for (const text of textsOf(checked)) if (!text.isWellFormed()) throw new Error("it has a lone surrogate");
    for (const word of wordsOf(checked)) if (word.includes("\0")) throw new Error("a word of the command has a NUL");
  },
});

function parse(body: unknown): CheckedRequest | undefined {
  try {
    return parseJobRequest(schema, body);
  } catch (error) {
    insistOnRefusal(error, LongshoreError);
    if (!(error instanceof LongshoreError) || error.code !== "invalid_request" || error.details.length === 0) {
      throw new Error("it is refused without a reason", { cause: error });
    }
    return undefined;
  }
}

function textsOf(value: unknown): string[] {
  if (typeof value === "string") return [value];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, part]) => [name].concat(textsOf(part)));
}

function wordsOf(request: CheckedRequest): string[] {
  if (request.kind !== "run") return [];
  return [...(request.command ?? []), ...request.arguments, ...Object.entries(request.environment).flat()];
}

const VARIABLES = [...renderVariableTable().matchAll(/^\| `(\w+)`/gm)].flatMap(([, name]) => name ?? []);

export const configurations = defineTarget({
  name: "configurations",
  runs: 5000,
  values: fc.dictionary(
    fc.oneof(fc.constantFrom(...VARIABLES), hostileText),
    fc.oneof(
      hostileText,
      fc.nat().map(String),
      fc.constantFrom("a=/b:ro", "a=/b:rw,c=/d:ro", "redis://:secret@host:1/0", "docker.io=mirror.example:5000"),
    ),
    { maxKeys: 8 },
  ),
  open: () => (environment) => {
    try {
      loadConfig(environment);
    } catch (error) {
      insistOnRefusal(error, ConfigError);
    }
  },
});
