/** From the results of cases to those of their groups, and to the whole. */
import type { JudgeGroup } from "../../../shared/judge-request.ts";
import type { JudgeCaseResult, JudgeGroupResult, JudgeUsage, Verdict } from "../../../shared/judge-result.ts";

/** What is said of all cases together. */
export interface Score {
  readonly verdict: Verdict;
  readonly message: string;
  readonly points: number;
  readonly pointsMax: number;
  readonly usage: JudgeUsage;
  readonly groups: readonly JudgeGroupResult[];
}

/** Adds cases up. @param cases in the order of the request, not empty */
export function scoreOf(cases: readonly JudgeCaseResult[], groups: readonly JudgeGroup[]): Score {
  const byGroup = Map.groupBy(cases, ({ group }) => group);
  const grouped = [...byGroup].flatMap(([name, members]) => {
    if (name === null) return [];
    return [groupResult(name, members, groups.find((group) => group.name === name)?.points)];
  });
  const parts = [...grouped, ...(byGroup.get(null) ?? [])];
  const { verdict, message } = decisive(cases);
  return {
    verdict,
    message,
    points: sumOf(parts.map(({ points }) => points)),
    pointsMax: sumOf(parts.map(({ pointsMax }) => pointsMax)),
    usage: {
      cpuTimeMs: Math.max(...cases.map(({ usage }) => usage.cpuTimeMs)),
      wallTimeMs: Math.max(...cases.map(({ usage }) => usage.wallTimeMs)),
      memoryPeakBytes: Math.max(...cases.map(({ usage }) => usage.memoryPeakBytes)),
    },
    groups: grouped,
  };
}

function groupResult(name: string, cases: readonly JudgeCaseResult[], points: number | undefined): JudgeGroupResult {
  const { verdict } = decisive(cases);
  if (points === undefined) {
    return {
      name,
      verdict,
      points: sumOf(cases.map((one) => one.points)),
      pointsMax: sumOf(cases.map((one) => one.pointsMax)),
    };
  }
  return { name, verdict, points: round(points * Math.min(...cases.map(shareOf))), pointsMax: points };
}

/** From 0 to 1. A case that is worth nothing by itself counts as a whole or not at all. */
function shareOf({ verdict, points, pointsMax }: JudgeCaseResult): number {
  if (pointsMax === 0) return verdict === "accepted" ? 1 : 0;
  return points / pointsMax;
}

/** A failure of the checker says nothing about the submission, so nothing can be said of the whole. */
function decisive(cases: readonly JudgeCaseResult[]): Pick<JudgeCaseResult, "verdict" | "message"> {
  return (
    cases.find(({ verdict }) => verdict === "checker_error") ??
    cases.find(({ verdict }) => verdict !== "accepted" && verdict !== "skipped") ??
    cases.find(({ verdict }) => verdict === "skipped") ?? { verdict: "accepted", message: "" }
  );
}

function sumOf(numbers: readonly number[]): number {
  return round(numbers.reduce((sum, number) => sum + number, 0));
}

/** Points have decimals, and 0.1 + 0.2 is to be 0.3. */
function round(points: number): number {
  return Math.round(points * 1e6) / 1e6;
}
