import { describe, expect, it } from "vitest";
import type { JudgeCaseResult } from "../../../shared/judge-result.ts";
import { caseResult, skippedResult } from "../../../worker/jobs/judge/case-result.ts";
import { scoreOf } from "../../../worker/jobs/judge/score.ts";
import { defaultMaxima } from "../../../shared/limits.ts";
import { runResult } from "../jobs/sample.ts";

const judged = { name: "1", stdin: "", expected: "", limits: defaultMaxima, points: 1, group: undefined };

function result(changes: Partial<JudgeCaseResult>): JudgeCaseResult {
  return { ...skippedResult(judged), verdict: "accepted", points: 1, ...changes };
}

const usage = (cpuTimeMs: number, wallTimeMs: number, memoryPeakBytes: number) => ({
  cpuTimeMs,
  wallTimeMs,
  memoryPeakBytes,
});

describe("a score", () => {
  it("adds points up, and has the time of the slowest and the memory of the largest case", () => {
    const cases = [result({ points: 0.1, usage: usage(1, 9, 3) }), result({ points: 0.2, usage: usage(5, 2, 1) })];
    expect(scoreOf(cases, [])).toMatchObject({ points: 0.3, pointsMax: 2, usage: usage(5, 9, 3), verdict: "accepted" });
  });

  it("gives a group with points the share of its worst case, and one without the sum", () => {
    const cases = [
      result({ group: "a", points: 1 }),
      result({ group: "a", points: 0.5, verdict: "partially_correct" }),
      result({ group: "b", points: 2, pointsMax: 2 }),
      result({ group: "b", points: 0, verdict: "wrong_answer" }),
    ];
    expect(scoreOf(cases, [{ name: "a", points: 30, dependsOn: [] }]).groups).toEqual([
      { name: "a", verdict: "partially_correct", points: 15, pointsMax: 30 },
      { name: "b", verdict: "wrong_answer", points: 2, pointsMax: 3 },
    ]);
  });

  it("counts a case without points of its own as a whole", () => {
    const cases = [result({ group: "a", points: 0, pointsMax: 0 })];
    expect(scoreOf(cases, [{ name: "a", points: 30, dependsOn: [] }])).toMatchObject({ points: 30, pointsMax: 30 });
  });

  it("has the verdict of the first case that is not accepted, but a checker's failure before all", () => {
    const wrong = result({ verdict: "wrong_answer", message: "no" });
    const slow = result({ verdict: "cpu_limit" });
    const skipped = result({ verdict: "skipped" });
    const broken = result({ verdict: "checker_error", message: "oops" });
    expect(scoreOf([result({}), skipped, wrong, slow], [])).toMatchObject({ verdict: "wrong_answer", message: "no" });
    expect(scoreOf([wrong, broken], [])).toMatchObject({ verdict: "checker_error", message: "oops" });
  });
});

describe("a case that is run several times", () => {
  const run = (cpuTimeMs: number, verdict: "accepted" | "wrong_answer" = "accepted") => {
    const base = runResult();
    const used = { ...base.usage, cpuTimeMs, wallTimeMs: 2 * cpuTimeMs, memoryPeakBytes: cpuTimeMs };
    return {
      kind: "judged",
      result: { ...base, usage: used },
      judgement: { verdict, points: 1, message: "" },
    } as const;
  };

  it("has the least time, the most memory, and how far times are apart", () => {
    expect(caseResult(judged, [run(12), run(10), run(11)])).toMatchObject({
      verdict: "accepted",
      runs: 3,
      usage: usage(10, 20, 12),
      spread: { cpuTimeMs: 2, wallTimeMs: 4 },
    });
  });

  it("has the times of the run that failed", () => {
    expect(caseResult(judged, [run(10), run(12, "wrong_answer")])).toMatchObject({
      verdict: "wrong_answer",
      usage: usage(12, 24, 12),
    });
  });
});
