import { describe, expect, it } from "vitest";
import { createJobRequestSchema, parseJobRequest } from "../../../shared/job-request.ts";
import { defaultMaxima } from "../../../shared/limits.ts";
import { resolveRequest } from "../../../shared/presets.ts";
import { faultsOf } from "./request.ts";

const schema = createJobRequestSchema(defaultMaxima);
const valid = { kind: "shard", image: "python", items: ["a", "b"], command: ["pytest", "{items}"] };

describe("a request to shard", () => {
  it("has defaults for everything but image, items and command", () => {
    expect(parseJobRequest(schema, valid)).toMatchObject({
      shards: 4,
      strategy: "time",
      report: "junit",
      reportFiles: ["/out/*.xml"],
      retryFailed: 0,
      failFast: false,
      outputs: [],
    });
  });

  it("has limits of a suite, as far as the server grants them", () => {
    const resolve = (maxima: typeof defaultMaxima) => resolveRequest(parseJobRequest(schema, valid), new Map(), maxima);
    expect(resolve(defaultMaxima)).toMatchObject({ limits: { wallTimeMs: 600_000, memoryBytes: 2 ** 30 } });
    expect(resolve({ ...defaultMaxima, memoryBytes: 2 ** 28 })).toMatchObject({ limits: { memoryBytes: 2 ** 28 } });
  });

  it("may leave splitting to the command", () => {
    const body = { ...valid, items: undefined, command: ["vitest", "--shard={shard}/{shards}"] };
    expect(parseJobRequest(schema, body)).toMatchObject({ kind: "shard" });
  });

  it.each([
    [{ items: undefined, command: ["run", "{shard}", "{items}"] }, "items"],
    [{ items: undefined, command: ["pytest"] }, "command"],
    [{ items: undefined, command: ["run", "{shard}"], strategy: "dynamic" }, "strategy"],
    [{ items: undefined, command: ["run", "{shard}"], retryFailed: 1 }, "retryFailed"],
    [{ discover: ["list"] }, "items"],
    [{ command: ["pytest"] }, "command"],
    [{ command: ["pytest", "{items}", "{items}"] }, "command"],
    [{ command: ["pytest", "--files={items}"] }, "command[1]"],
    [{ command: ["", "{items}"] }, "command"],
    [{ command: ["x".repeat(30_000), "{items}"] }, "command"],
    [{ environment: { X: "x".repeat(30_000) } }, "environment"],
    [{ items: ["a\nb"] }, "items[0]"],
    [{ items: [""] }, "items[0]"],
    [{ items: ["a\0b"] }, "items[0]"],
    [{ shards: 0 }, "shards"],
    [{ shards: 65 }, "shards"],
    [{ reportFiles: [] }, "reportFiles"],
    [{ reportFiles: ["/out/../x"] }, "reportFiles[0]"],
    [{ outputs: ["{a,b}"] }, "outputs[0]"],
    [{ layers: [{ blob: `sha256:${"0".repeat(64)}`, at: "/" }] }, "layers[0].at"],
    [
      {
        files: [
          { path: "a", content: "" },
          { path: "a/b", content: "" },
        ],
      },
      "files[1].path",
    ],
    [{ workingDirectory: "/proc/self" }, "workingDirectory"],
    [{ language: "python" }, "language"],
    [{ report: "tap" }, "report"],
  ])("is refused where it makes no sense, with the path of the field (%#)", (changes, path) => {
    expect(Object.keys(faultsOf({ ...valid, ...changes }))).toEqual([path]);
  });
});
