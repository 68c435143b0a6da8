import { encodeOutput } from "../../../shared/content.ts";
import type { JudgeCase } from "../../../shared/judge-request.ts";
import type { JudgeCaseResult } from "../../../shared/judge-result.ts";
import type { JudgedRun } from "./case-run.ts";

/**
 * The result of a case from its runs, of which all but the last were accepted. Times are those of the fastest run, as
 * noise only ever adds to them; memory is that of the largest.
 */
export function caseResult(judged: JudgeCase, runs: readonly [JudgedRun, ...JudgedRun[]]): JudgeCaseResult {
  const { result, judgement } = runs.at(-1) ?? runs[0];
  const times = (name: "cpuTimeMs" | "wallTimeMs"): number[] => runs.map((run) => run.result.usage[name]);
  const timeOf = (name: "cpuTimeMs" | "wallTimeMs"): number =>
    judgement.verdict === "accepted" ? Math.min(...times(name)) : result.usage[name];
  const spreadOf = (name: "cpuTimeMs" | "wallTimeMs"): number =>
    Math.round((Math.max(...times(name)) - Math.min(...times(name))) * 1e3) / 1e3;
  return {
    ...identityOf(judged),
    ...judgement,
    exitCode: result.exitCode,
    signal: result.signal,
    usage: {
      cpuTimeMs: timeOf("cpuTimeMs"),
      wallTimeMs: timeOf("wallTimeMs"),
      memoryPeakBytes: Math.max(...runs.map((run) => run.result.usage.memoryPeakBytes)),
    },
    runs: runs.length,
    spread: { cpuTimeMs: spreadOf("cpuTimeMs"), wallTimeMs: spreadOf("wallTimeMs") },
    stdout: encodeOutput(result.stdout),
    stderr: encodeOutput(result.stderr),
  };
}

/** The result of a case that was not run. */
export function skippedResult(judged: JudgeCase): JudgeCaseResult {
  const nothing = encodeOutput({ content: new Uint8Array(), truncated: false });
  return {
    ...identityOf(judged),
    verdict: "skipped",
    points: 0,
    message: "",
    exitCode: null,
    signal: null,
    usage: { cpuTimeMs: 0, wallTimeMs: 0, memoryPeakBytes: 0 },
    runs: 0,
    spread: { cpuTimeMs: 0, wallTimeMs: 0 },
    stdout: nothing,
    stderr: nothing,
  };
}

function identityOf({ name, group, points }: JudgeCase) {
  return { name, group: group ?? null, pointsMax: points };
}
