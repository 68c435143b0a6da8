import { describe, expect, it } from "vitest";
import { blobsOf, createJobRequestSchema, parseJobRequest } from "../../../shared/job-request.ts";
import { defaultMaxima } from "../../../shared/limits.ts";
import { loadPresets, resolveRequest, SHIPPED_IMAGES } from "../../../shared/presets.ts";
import { faultsOf, parse } from "./request.ts";

const schema = createJobRequestSchema(defaultMaxima);
const presets = loadPresets(SHIPPED_IMAGES);

const smallest = { kind: "judge", language: "c", source: "int main() {}", cases: [{ name: "1" }] };
const digest = `sha256:${"a".repeat(64)}`;

function resolve(changes: Record<string, unknown> = {}) {
  const request = resolveRequest(parseJobRequest(schema, { ...smallest, ...changes }), presets, defaultMaxima);
  if (request.kind !== "judge") throw new TypeError("it was one of kind judge");
  return request;
}

describe("the request of a judge", () => {
  it("says as little as a submission and a case", () => {
    expect(faultsOf(smallest)).toEqual({});
    expect(resolve()).toMatchObject({ checker: { type: "tokens" }, stopOn: "never", repeat: 1, groups: [] });
  });

  it("is a run where it does not say its kind", () => {
    expect(parse({ image: "python", command: ["true"] }).kind).toBe("run");
    expect(faultsOf({ ...smallest, kind: "contest" })).toEqual({ kind: expect.any(String) });
    expect(faultsOf({ ...smallest, command: ["true"] })).toEqual({ command: expect.any(String) });
  });

  it("has limits of cases over its own, over the preset's", () => {
    const { limits, cases } = resolve({
      limits: { cpuTimeMs: 100 },
      cases: [{ name: "1", limits: { memoryBytes: 10_000_000 } }],
    });
    expect(limits).toMatchObject({ cpuTimeMs: 100, outputBytes: 64 * 1024 * 1024 });
    expect(cases[0]?.limits).toMatchObject({ cpuTimeMs: 100, memoryBytes: 10_000_000 });
  });

  it("may let a submission print as much as a file may hold, but a checker only what a result does", () => {
    const outputBytes = defaultMaxima.fileBytes;
    expect(faultsOf({ ...smallest, limits: { outputBytes } })).toEqual({});
    const checker = { type: "program", language: "c", source: "", limits: { outputBytes } };
    expect(faultsOf({ ...smallest, checker })).toEqual({ "checker.limits.outputBytes": expect.any(String) });
  });

  it.each([
    ["no case", { cases: [] }, "cases"],
    ["the same name twice", { cases: [{ name: "1" }, { name: "1" }] }, "cases[1].name"],
    [
      "a checker beside an interactor",
      { checker: { type: "exact" }, interactor: { language: "c", source: "" } },
      "checker",
    ],
    ["an unknown checker", { checker: { type: "clever" } }, "checker.type"],
    ["a negative tolerance", { checker: { type: "float", tolerance: -1 } }, "checker.tolerance"],
    ["too many repetitions", { repeat: 101 }, "repeat"],
    ["a blob by another name", { cases: [{ name: "1", stdin: { blob: "abc" } }] }, "cases[0].stdin"],
    ["a group of no case", { groups: [{ name: "a" }] }, "groups[0].name"],
  ])("is refused for %s", (_, changes, path) => {
    expect(Object.keys(faultsOf({ ...smallest, ...changes }))).toEqual([expect.stringContaining(path)]);
  });

  it("has the cases of dependencies before those that depend on them", () => {
    const cases = [
      { name: "1", group: "a" },
      { name: "2", group: "b" },
    ];
    expect(faultsOf({ ...smallest, cases, groups: [{ name: "b", dependsOn: ["a"] }] })).toEqual({});
    for (const groups of [
      [{ name: "a", dependsOn: ["b"] }],
      [{ name: "a", dependsOn: ["a"] }],
      [{ name: "a", dependsOn: ["c"] }],
    ])
      expect(faultsOf({ ...smallest, cases, groups })).toEqual({ "groups[0].dependsOn[0]": expect.any(String) });
  });

  it("names the blobs of its cases, and where they are", () => {
    const cases = [
      { name: "1", stdin: { blob: digest }, expected: "x" },
      { name: "2", expected: { blob: digest } },
    ];
    expect(blobsOf(parse({ ...smallest, cases }))).toEqual([
      { path: "cases[0].stdin.blob", blob: digest },
      { path: "cases[1].expected.blob", blob: digest },
    ]);
  });

  it.each([
    [{ language: "klingon" }, "language"],
    [{ source: undefined }, "source"],
    [{ checker: { type: "program", language: "klingon", source: "" } }, "checker.language"],
    [{ interactor: { language: "c" } }, "interactor.source"],
    [{ cases: [{ name: "1", limits: { diskBytes: 4096 } }] }, "limits.diskBytes"],
  ])("has to have what its languages need: %j", (changes, path) => {
    expect(() => resolve(changes)).toThrow(expect.objectContaining({ details: [expect.objectContaining({ path })] }));
  });
});
