import { mkdir, mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { readProblem } from "../../../services/cli/problem.ts";

async function problem(files: Readonly<Record<string, string>>) {
  const directory = await mkdtempDisposable(join(tmpdir(), "longshore-problem-"));
  for (const [path, content] of Object.entries(files)) {
    await mkdir(join(directory.path, dirname(path)), { recursive: true });
    await writeFile(join(directory.path, path), content);
  }
  return directory;
}

describe("a problem's directory", () => {
  it("has cases by name, numbers by their value, groups after them", async () => {
    await using directory = await problem({
      "cases/10.in": "",
      "cases/2.in": "",
      "cases/2.ans": "two",
      "cases/large/1.in": "",
      "cases/large/1.out": "",
      "cases/small/1.in": "",
      "cases/notes.txt": "",
    });
    const { cases, fields } = await readProblem(directory.path);
    expect(cases.map(({ name, group }) => [name, group])).toEqual([
      ["2", undefined],
      ["10", undefined],
      ["large/1", "large"],
      ["small/1", "small"],
    ]);
    expect(cases[0]?.expected?.bytes).toBe(3);
    expect(cases[1]?.expected).toBeUndefined();
    expect(fields).toEqual({});
  });

  it("takes the order of groups, points and programs from problem.json", async () => {
    const settings = {
      limits: { cpuTimeMs: 100 },
      checker: { type: "program", file: "check.c", files: ["lib/testlib.h"] },
      groups: [
        { name: "small", points: 30 },
        { name: "large", dependsOn: ["small"] },
      ],
      cases: { "large/1": { points: 5 } },
    };
    await using directory = await problem({
      "problem.json": JSON.stringify(settings),
      "check.c": "int main() {}",
      "lib/testlib.h": "//",
      "cases/large/1.in": "",
      "cases/small/1.in": "",
    });
    const { cases, fields, settings: ofCases } = await readProblem(directory.path);
    expect(cases.map(({ name }) => name)).toEqual(["small/1", "large/1"]);
    expect(ofCases).toEqual({ "large/1": { points: 5 } });
    expect(fields).toEqual({
      limits: { cpuTimeMs: 100 },
      groups: settings.groups,
      checker: {
        type: "program",
        language: "c",
        source: "int main() {}",
        files: [{ path: "testlib.h", content: "//" }],
      },
    });
  });

  it.each([
    [{}, /has no cases/],
    [{ "cases/1.in": "", "problem.json": "{" }, /is no JSON/],
    [{ "cases/1.in": "", "problem.json": '{"checkers": {}}' }, /describes no problem/],
    [{ "cases/1.in": "", "problem.json": '{"cases": {"2": {}}}' }, /settings of 2, which is no case/],
  ])("is refused where it is none: %j", async (files, message) => {
    await using directory = await problem(files);
    await expect(readProblem(directory.path)).rejects.toThrow(message);
  });
});
