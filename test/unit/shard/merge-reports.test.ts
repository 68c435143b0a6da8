import { describe, expect, it } from "vitest";
import {
  countTests,
  mergeReports,
  type ReportedRun,
  slowestTests,
} from "../../../worker/jobs/shard/report/merge-reports.ts";
import { makeFailed, makeFailure, makeTest } from "./sample.ts";

function run(parts: Partial<ReportedRun>): ReportedRun {
  const ended = { ending: "exit code 0", fault: null };
  return { shard: 0, round: 0, items: ["tests/test_a.py"], ...ended, suites: [], tests: [], ...parts };
}

describe("merged reports", () => {
  it("count a test once that is in several", () => {
    const { tests } = mergeReports([run({ tests: [makeTest()] }), run({ shard: 1, tests: [makeTest()] })]);
    expect(tests).toMatchObject([{ id: "tests.test_a::test_x", runs: 2, items: ["tests/test_a.py"] }]);
  });

  it("have a test as flaky that failed and then passed, with what it failed by", () => {
    const { tests } = mergeReports([
      run({ round: 2, tests: [makeTest({ timeMs: 7 })] }),
      run({ round: 0, tests: [makeFailed({}, { message: "first" })] }),
      run({ round: 1, tests: [makeFailed({}, { message: "second" })] }),
    ]);
    expect(tests).toMatchObject([{ outcome: "passed", failure: null, runs: 3, timeMs: 7 }]);
    expect(tests[0]?.earlierFailures.map(({ message }) => message)).toEqual(["first", "second"]);
    expect(countTests(tests)).toEqual({ tests: 1, passed: 1, failed: 0, errored: 0, skipped: 0, flaky: 1 });
  });

  it("have a test as flaky that passed, and failed when its item was run again for another one", () => {
    const { tests } = mergeReports([run({ tests: [makeTest()] }), run({ round: 1, tests: [makeFailed()] })]);
    expect(tests).toMatchObject([{ outcome: "passed", earlierFailures: [{ message: "assert 1 == 2" }] }]);
  });

  it("keep the last failure of a test that never passed", () => {
    const { tests } = mergeReports([
      run({ tests: [makeFailed({}, { message: "first" })] }),
      run({ round: 1, tests: [makeFailed({}, { message: "last", outcome: "errored" })] }),
    ]);
    expect(tests).toMatchObject([
      { outcome: "errored", failure: { message: "last" }, earlierFailures: [{ message: "first" }] },
    ]);
  });

  it("keep a failure that the retry did not get to, or skipped", () => {
    const failed = run({ tests: [makeFailed()] });
    const skipped = run({ round: 1, tests: [makeTest({ outcome: "skipped", skipReason: "not now" })] });
    for (const runs of [
      [failed, run({ round: 1 })],
      [failed, skipped],
    ]) {
      expect(mergeReports(runs).tests).toMatchObject([{ outcome: "failed", failure: makeFailure() }]);
    }
  });

  it("have what a command left out as flaky, when it passes later, and once for each time", () => {
    const items = ["tests/test_a.py", "tests/test_b.py"];
    const runs = [
      run({ items, ending: "ended by SIGABRT" }),
      run({ round: 1, items, ending: "exit code 3", tests: [makeTest({ classname: "tests.test_b", timeMs: 7 })] }),
      run({ round: 2, items: ["tests/test_a.py"], tests: [makeTest()] }),
    ];
    const { tests, lost, itemTimesMs } = mergeReports(runs);
    const missing = (ending: string) => ({
      outcome: "errored",
      message: `the report of its command has nothing of it (${ending})`,
    });
    expect(tests).toMatchObject([
      { classname: "tests.test_b", outcome: "passed", runs: 2, earlierFailures: [missing("ended by SIGABRT")] },
      {
        classname: "tests.test_a",
        outcome: "passed",
        runs: 3,
        earlierFailures: [missing("ended by SIGABRT"), missing("exit code 3")],
      },
    ]);
    expect(countTests(tests)).toMatchObject({ passed: 2, flaky: 2 });
    expect(lost).toEqual([]);
    expect(Object.fromEntries(itemTimesMs)).toEqual({ "tests/test_b.py": 7, "tests/test_a.py": 1 });
  });

  it("have nothing as flaky that was reported, and left out when its item was run again for another one", () => {
    const runs = [run({ tests: [makeTest()] }), run({ round: 1 }), run({ round: 2, tests: [makeTest()] })];
    expect(mergeReports(runs).tests).toMatchObject([{ outcome: "passed", runs: 2, earlierFailures: [] }]);
  });

  it("keep what a test failed by, where its command left it out at first", () => {
    const { tests } = mergeReports([run({}), run({ round: 1, tests: [makeFailed()] })]);
    expect(tests).toMatchObject([{ outcome: "failed", failure: makeFailure(), earlierFailures: [], runs: 1 }]);
  });

  it("say of a suite when and where it began first, and all that is said of it, once", () => {
    const facts = { name: "pytest", hostname: "b", properties: [{ name: "arch", value: "x86" }] };
    const early = { ...facts, hostname: "a", timestamp: "2026-11-21T12:00:00+01:00" };
    const late = { ...facts, timestamp: "2026-11-21T11:30:00Z", properties: [{ name: "arch", value: "arm" }] };
    const { suites } = mergeReports([
      run({ suites: [late] }),
      run({ shard: 1, suites: [early, { ...facts, timestamp: "yesterday" }] }),
    ]);
    expect([...suites.values()]).toEqual([
      {
        name: "pytest",
        timestamp: early.timestamp,
        hostname: "a",
        properties: [
          { name: "arch", value: "arm" },
          { name: "arch", value: "x86" },
        ],
      },
    ]);
  });

  it("name the items without any test", () => {
    const items = ["tests/test_a.py", "tests/test_b.py", "tests/test_c.py"];
    const { lost } = mergeReports([
      run({ items, tests: [makeTest()] }),
      run({ round: 1, items: ["tests/test_c.py"], tests: [makeTest({ classname: "tests.test_c" })] }),
    ]);
    expect(lost).toEqual(["tests/test_b.py"]);
  });

  it("keep tests of the same name in one report apart", () => {
    const { tests } = mergeReports([run({ tests: [makeTest(), makeFailed()] })]);
    expect(tests.map(({ id, outcome }) => [id, outcome])).toEqual([
      ["tests.test_a::test_x", "passed"],
      ["tests.test_a::test_x #2", "failed"],
    ]);
  });

  it("keep tests apart whose names look like those that they are told apart by", () => {
    const names = ["a", "a", "a #2", "a", "a #2"];
    const { tests } = mergeReports([run({ tests: names.map((name) => makeTest({ name })) })]);
    expect(new Set(tests.map(({ id }) => id)).size).toBe(5);
  });

  it("keep tests of different commands apart, when their names do not say where they are", () => {
    const adds = { suite: "sum", classname: "sum adds", name: "sum adds" };
    const { tests } = mergeReports([
      run({ items: ["a.test.js", "b.test.js"], tests: [makeTest(adds)] }),
      run({ items: ["c.test.js"], tests: [makeTest(adds)] }),
      run({ shard: 1, items: ["d.test.js", "e.test.js"], tests: [makeFailed(adds)] }),
      run({ shard: 1, round: 1, items: ["e.test.js"], tests: [makeTest(adds)] }),
    ]);
    expect(tests.map(({ runs, earlierFailures }) => [runs, earlierFailures.length])).toEqual([
      [1, 0],
      [1, 0],
      [2, 1],
    ]);
  });

  it("count a test once that a command ran again which splits by itself", () => {
    const runs = [0, 1].map((round) => run({ items: [], round, tests: [makeTest()] }));
    expect(mergeReports(runs).tests).toHaveLength(1);
  });

  it("say what items took when they were run first", () => {
    const tests = [makeTest({ timeMs: 5 }), makeTest({ name: "test_z", timeMs: 6 })];
    const { itemTimesMs } = mergeReports([run({ tests }), run({ round: 1, tests: [makeTest({ timeMs: 100 })] })]);
    expect([...itemTimesMs]).toEqual([["tests/test_a.py", 11]]);
  });
});

describe("the slowest tests", () => {
  it("come first, those of the same time in their order", () => {
    const tests = [1, 3, 2, 3].map((timeMs, index) => makeTest({ timeMs, name: String(index) }));
    expect(slowestTests(tests, 3).map(({ name }) => name)).toEqual(["1", "3", "2"]);
  });
});
