import { stripVTControlCharacters } from "node:util";
import { describe, expect, it } from "vitest";
import { exitCodeOfShard } from "../../../../services/cli/exit-codes.ts";
import { annotate } from "../../../../services/cli/shard/annotations.ts";
import { summarize } from "../../../../services/cli/shard/summary.ts";
import type { ShardResult } from "../../../../shared/shard-result.ts";
import { makeFailedTest, makeResult, makeShard, noCounts } from "./sample.ts";

const summary = (result: ShardResult) => [...summarize(result)].map(stripVTControlCharacters);

describe("the summary", () => {
  it("is short for what passed", () => {
    expect(summary(makeResult())).toEqual([
      "shards",
      "     12.3 s  shard 1: 10 items, 40 tests on worker-1",
      "passed  40 tests: 40 passed; 1 shard (time) in 12.4 s, evenness 1.00",
    ]);
  });

  it("has every failure, flaky test and lost item, and the slowest", () => {
    const lines = summary(
      makeResult({
        outcome: "failed",
        message: "1 test failed",
        counts: { ...noCounts, tests: 3, passed: 1, failed: 2, flaky: 1, lost: 1 },
        failures: [makeFailedTest({ runs: 2 })],
        flaky: [{ ...makeFailedTest(), id: "tests.test_a::test_f", message: "once\nand more" }],
        lost: [{ item: "tests/test_b.py", shard: 2, reason: "not_reported" }],
        slowest: [
          { ...makeFailedTest(), id: "slow", timeMs: 2345 },
          { ...makeFailedTest(), id: "fast", timeMs: 3 },
        ],
      }),
    );
    expect(lines.slice(0, 8)).toEqual([
      "failed  tests.test_a::test_x (shard 2, 2 runs)",
      "  | def test_x():",
      "  | >   assert 1 == 2",
      "… and 1 more: the report has all failures",
      "flaky  tests.test_a::test_f: once",
      "lost  tests/test_b.py (shard 2): the report does not have it",
      "slowest",
      "     2.35 s  slow",
    ]);
    expect(lines.at(-1)).toBe(
      "failed  3 tests: 1 passed, 2 failed, 1 flaky, 1 lost; 1 shard (time) in 12.4 s, evenness 1.00; 1 test failed",
    );
  });

  it("shows what a shard printed whose tests are not in a report", () => {
    const shard = makeShard({
      counts: { ...noCounts, lost: 3 },
      runs: [
        {
          outcome: "memory_limit",
          exitCode: null,
          signal: null,
          purpose: "first",
          items: 3,
          tests: 0,
          wallTimeMs: 1,
          cpuTimeMs: 1,
          memoryPeakBytes: 1,
          fault: "there is no report",
        },
      ],
      stderr: { content: "pytest: not found\n", encoding: "utf8", bytes: 18, truncated: false },
    });
    expect(summary(makeResult({ outcome: "failed", shards: [shard] })).slice(0, 4)).toEqual([
      "shard 1 there is no report",
      "shard 1 ran into its memory_limit",
      "shard 1 printed",
      "  | pytest: not found",
    ]);
  });

  it("says which shards were stopped, and what was lost by that", () => {
    const lines = summary(
      makeResult({
        outcome: "failed",
        message: "1 test failed; 1 item is lost; shard 2 was stopped",
        counts: { ...noCounts, tests: 1, failed: 1, lost: 1 },
        lost: [{ item: "tests/test_b.py", shard: 2, reason: "not_run" }],
        shards: [makeShard(), makeShard({ shard: 2, state: "canceled", items: 0, counts: noCounts })],
      }),
    );
    expect(lines).toContain("lost  tests/test_b.py (shard 2): its shard was stopped before");
    expect(lines).toContain("     12.3 s  shard 2: 0 items, 0 tests on worker-1, stopped");
    expect(lines.at(-1)).toMatch(/; 1 test failed; 1 item is lost; shard 2 was stopped$/);
  });

  it("shows what setup printed when it failed", () => {
    const setup = {
      outcome: "exited",
      exitCode: 2,
      signal: null,
      stdout: { content: "", encoding: "utf8", bytes: 0, truncated: false },
      stderr: { content: "no such package", encoding: "utf8", bytes: 15, truncated: false },
      usage: {
        cpuTimeMs: 1,
        userTimeMs: 1,
        systemTimeMs: 0,
        wallTimeMs: 1,
        memoryPeakBytes: 1,
        maxRssBytes: 1,
        processesPeak: 1,
      },
      timings: { prepareMs: 1, runMs: 1, collectMs: 1 },
      outputs: [],
      cached: false,
    } satisfies ShardResult["setup"];
    expect(summary(makeResult({ outcome: "setup_failed", setup, shards: [], evenness: null })).slice(0, 2)).toEqual([
      "setup exited with 2",
      "  | no such package",
    ]);
  });

  it("lets no test begin a line, or reach the terminal", () => {
    const details = `::error::forged\n\u001B[2Jgone\r\n${"line\n".repeat(1000)}end`;
    const lines = [
      ...summarize(makeResult({ outcome: "failed", failures: [makeFailedTest({ id: "a\nb", message: "", details })] })),
    ];
    const plain = lines.map(stripVTControlCharacters);
    expect(plain[0]).toBe("failed  a\\x0ab (shard 2)");
    expect(plain.slice(1, 3)).toEqual(["  | ::error::forged", "  | \\x1b[2Jgone"]);
    expect(plain.find((line) => line.includes("…"))).toBe("  | … 973 lines …");
    expect(plain.length).toBeLessThan(40);
  });
});

describe("annotations", () => {
  it("are for tests whose file is known, below the checkout, with nothing left to interpret", () => {
    const failures = [
      makeFailedTest(),
      makeFailedTest({ file: "/work/tests/a,b.js", id: "a::b", message: "100%\n::set-env name=x::y" }),
    ];
    expect(annotate(failures, "/work")).toEqual([
      "::error file=tests/a%2Cb.js,title=a%3A%3Ab::100%25%0A::set-env name=x::y",
    ]);
  });

  it("are as many as GitHub shows", () => {
    expect(
      annotate(
        Array.from({ length: 50 }, () => makeFailedTest({ file: "a.js" })),
        "/work",
      ),
    ).toHaveLength(10);
  });
});

describe("the exit code of longshore shard", () => {
  it.each([
    ["done", makeResult(), 0],
    ["done", makeResult({ outcome: "failed" }), 1],
    ["done", makeResult({ outcome: "no_items" }), 1],
    ["done", makeResult({ outcome: "setup_failed" }), 1],
    ["failed", null, 125],
    ["canceled", null, 130],
  ] as const)("is for a job that is %s", (state, result, code) => {
    expect(exitCodeOfShard({ state, result })).toBe(code);
  });
});
