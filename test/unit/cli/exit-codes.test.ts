import { describe, expect, it } from "vitest";
import { exitCodeOf, exitCodeOfJudge } from "../../../services/cli/exit-codes.ts";
import type { JudgeJob, RunJob } from "../../../shared/job.ts";
import type { JobResult } from "../../../shared/job-result.ts";

const stream = { content: "", encoding: "utf8", bytes: 0, truncated: false } as const;
const usage = {
  cpuTimeMs: 1,
  userTimeMs: 1,
  systemTimeMs: 0,
  wallTimeMs: 1,
  memoryPeakBytes: 1,
  maxRssBytes: 1,
  processesPeak: 1,
};
const timings = { prepareMs: 1, runMs: 1, collectMs: 1 };

function done(result: Partial<JobResult>): RunJob {
  return {
    id: "6d1e4e36-4f0e-4d4f-a1c5-2b0f6f6b8f5a",
    kind: "run",
    state: "done",
    createdAt: "2026-01-01T00:00:00.000Z",
    startedAt: "2026-01-01T00:00:00.000Z",
    finishedAt: "2026-01-01T00:00:01.000Z",
    attempt: 1,
    error: null,
    result: {
      outcome: "exited",
      exitCode: 0,
      signal: null,
      stdout: stream,
      stderr: stream,
      outputs: [],
      usage,
      build: null,
      timings: { queuedMs: 1, pullMs: 0, ...timings },
      image: "sha256:0",
      worker: "w",
      ...result,
    },
  };
}

describe("the exit code of longshore run", () => {
  it("is the program's own", () => {
    expect(exitCodeOf(done({ exitCode: 42 }))).toBe(42);
  });

  it("is 128 and the signal, as shells have it", () => {
    expect(exitCodeOf(done({ outcome: "signaled", exitCode: null, signal: "SIGSEGV" }))).toBe(128 + 11);
  });

  it.each(["cpu_limit", "wall_limit", "memory_limit", "output_limit", "disk_limit", "process_limit"] as const)(
    "is 124 for %s, even where the program exited with 0",
    (outcome) => {
      expect(exitCodeOf(done({ outcome, exitCode: 0 }))).toBe(124);
    },
  );

  it("is the compiler's for a build that failed, and never 0", () => {
    const build = { exitCode: 2, signal: null, stdout: stream, stderr: stream, outputs: [], usage, timings };
    const failed = (exitCode: number | null, outcome: "exited" | "wall_limit") =>
      done({ outcome: "build_failed", exitCode: null, build: { ...build, outcome, exitCode } });
    expect(exitCodeOf(failed(2, "exited"))).toBe(2);
    expect(exitCodeOf(failed(null, "wall_limit"))).toBe(1);
  });

  it("is 125 for a job that failed, and 130 for one that was canceled", () => {
    expect(exitCodeOf({ ...done({}), state: "failed", result: null })).toBe(125);
    expect(exitCodeOf({ ...done({}), state: "canceled", result: null })).toBe(130);
  });
});

describe("the exit code of longshore judge", () => {
  const judged = (verdict: "accepted" | "wrong_answer" | "checker_error"): JudgeJob => ({
    ...done({}),
    kind: "judge",
    result: {
      verdict,
      message: "",
      points: 0,
      pointsMax: 1,
      usage: { cpuTimeMs: 0, wallTimeMs: 0, memoryPeakBytes: 0 },
      cases: [],
      groups: [],
      builds: { submission: null, checker: null, interactor: null },
      timings: { queuedMs: 0, pullMs: 0, buildMs: 0, casesMs: 0 },
      image: "sha256:0",
      worker: "w",
    },
  });

  it("is 0 for what is accepted, and 1 for what is not", () => {
    expect(exitCodeOfJudge(judged("accepted"))).toBe(0);
    expect(exitCodeOfJudge(judged("wrong_answer"))).toBe(1);
    expect(exitCodeOfJudge(judged("checker_error"))).toBe(1);
  });

  it("is 125 when the job failed, and 130 when it was canceled", () => {
    expect(exitCodeOfJudge({ ...judged("accepted"), state: "failed", result: null })).toBe(125);
    expect(exitCodeOfJudge({ ...judged("accepted"), state: "canceled", result: null })).toBe(130);
  });
});
