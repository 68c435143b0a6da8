import { spawn } from "node:child_process";
import { once } from "node:events";
import { createReadStream } from "node:fs";
import { mkdtempDisposable, realpath, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { mergeReports } from "../../../worker/jobs/shard/report/merge-reports.ts";
import { parseReport } from "../../../worker/jobs/shard/report/parse-report.ts";

const modules = join(import.meta.dirname, "../../../node_modules");

const source = (imports: string, fail: string): string => `
import ${imports};
describe("numbers", () => {
  it("adds", () => {});
  describe("odd", () => {
    it("fails > [1.5]", () => ${fail});
    it.skip("later", () => {});
    it("adds", () => {});
  });
});
`;

const runners = {
  "node:test": {
    item: "a.test.mjs",
    content: source(`assert from "node:assert"; import { describe, it } from "node:test"`, "assert.equal(1, 2)"),
    command: ["--test", "--test-reporter=junit", "--test-reporter-destination=junit.xml", "a.test.mjs"],
  },
  vitest: {
    item: "a.test.ts",
    content: source(`{ describe, expect, it } from "vitest"`, "expect(1).toBe(2)"),
    command: [join(modules, "vitest/vitest.mjs"), "run", "--reporter=junit", "--outputFile=junit.xml", "a.test.ts"],
  },
};

describe("what is really written by", () => {
  it.each(Object.entries(runners))("%s, is understood", async (_, { item, content, command }) => {
    await using directory = await mkdtempDisposable(join(tmpdir(), "longshore-runner-"));
    await writeFile(join(directory.path, item), content);
    await symlink(await realpath(modules), join(directory.path, "node_modules"));
    // Nothing of the runner that this test runs in.
    const { PATH } = process.env;
    const child = spawn(process.execPath, command, { cwd: directory.path, env: { PATH }, stdio: "ignore" });
    const [exitCode] = (await once(child, "exit")) as [number];
    expect(exitCode).toBe(1);

    const { suites, tests, fault } = await parseReport(createReadStream(join(directory.path, "junit.xml")));
    expect(fault).toBeNull();
    const merged = mergeReports([
      { shard: 0, round: 0, items: [item, "b.test.ts"], ending: "exit code 1", fault: null, suites, tests },
    ]);
    expect(merged.lost).toEqual(["b.test.ts"]);
    expect(merged.tests.map(({ outcome }) => outcome)).toEqual(["passed", "failed", "skipped", "passed"]);
    expect(merged.tests.every(({ items }) => items.join() === item)).toBe(true);
    expect(new Set(merged.tests.map(({ id }) => id)).size).toBe(4);
    expect(merged.tests[1]).toMatchObject({ name: expect.stringContaining("fails > [1.5]") });
    expect(merged.tests[1]?.failure?.details).toContain("AssertionError");
  });
});
