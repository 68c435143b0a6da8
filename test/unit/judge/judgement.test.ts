import { describe, expect, it } from "vitest";
import type { RunResult } from "../../../worker/container/spec.ts";
import { judgeInteraction } from "../../../worker/jobs/judge/interactive-run.ts";
import { judgeByExitCode, judgeEnding } from "../../../worker/jobs/judge/judgement.ts";
import { runResult } from "../jobs/sample.ts";

describe("the ending of a submission", () => {
  it.each([
    [{}, undefined],
    [{ exitCode: 1 }, "runtime_error"],
    [{ outcome: "signaled", exitCode: null, signal: "SIGSEGV" }, "runtime_error"],
    [{ outcome: "disk_limit", exitCode: 1 }, "runtime_error"],
    [{ outcome: "process_limit", exitCode: 1 }, "runtime_error"],
    [{ outcome: "cpu_limit" }, "cpu_limit"],
    [{ outcome: "wall_limit" }, "wall_limit"],
    [{ outcome: "memory_limit" }, "memory_limit"],
    [{ outcome: "output_limit" }, "output_limit"],
  ] as const)("%j is %s", (changes, verdict) => {
    expect(judgeEnding(runResult(changes))?.verdict).toBe(verdict);
  });
});

function said(exitCode: number, message = ""): RunResult {
  return runResult({ exitCode, stderr: { content: Buffer.from(message), truncated: false } });
}

describe("a checker's exit code", () => {
  it.each([
    [0, "accepted", 10],
    [1, "wrong_answer", 0],
    [2, "presentation_error", 0],
    [3, "checker_error", 0],
    [4, "presentation_error", 0],
    [8, "presentation_error", 0],
    [5, "checker_error", 0],
    [127, "checker_error", 0],
  ])("%i is %s", (exitCode, verdict, points) => {
    expect(judgeByExitCode(said(exitCode), "checker", 10)).toMatchObject({ verdict, points });
  });

  it.each([
    ["points 2.5 so so", "partially_correct", 2.5],
    ["2.5", "partially_correct", 2.5],
    ["points 0", "wrong_answer", 0],
    ["points 10", "accepted", 10],
    ["points 11", "checker_error", 0],
    ["points -1", "checker_error", 0],
    ["points many", "checker_error", 0],
    ["", "checker_error", 0],
  ])("7 with %j is %s", (message, verdict, points) => {
    expect(judgeByExitCode(said(7, message), "checker", 10)).toMatchObject({ verdict, points });
  });

  it("comes with what the checker printed, to stderr rather than to stdout", () => {
    expect(judgeByExitCode(said(1, " expected 1\n"), "checker", 1).message).toBe("expected 1");
    expect(judgeByExitCode(said(1), "checker", 1).message).toBe("hello");
    expect(judgeByExitCode(said(1, "x".repeat(5000)), "checker", 1).message).toHaveLength(1000);
    const cutInside = judgeByExitCode(said(1, `x${"😀".repeat(1000)}`), "checker", 1).message;
    expect(cutInside.isWellFormed()).toBe(true);
  });
});

describe("an interaction", () => {
  const crashed = { outcome: "signaled", exitCode: null, signal: "SIGSEGV" } as const;
  const hung = { outcome: "wall_limit", exitCode: null, signal: "SIGKILL" } as const;

  it.each([
    ["both end well", {}, {}, "accepted"],
    [
      "the submission crashes, and the interactor of that",
      { ...crashed, endedAtMs: 1 },
      { exitCode: 1, endedAtMs: 2 },
      "runtime_error",
    ],
    [
      "the interactor says wrong, and the submission crashes of that",
      { ...crashed, endedAtMs: 2 },
      { exitCode: 1, endedAtMs: 1 },
      "wrong_answer",
    ],
    [
      "the interactor accepts, and the submission crashes by itself",
      { ...crashed, endedAtMs: 2 },
      { endedAtMs: 1 },
      "runtime_error",
    ],
    [
      "the interactor accepts, and the submission has more to say",
      { ...crashed, signal: "SIGPIPE", endedAtMs: 2 },
      { endedAtMs: 1 },
      "accepted",
    ],
    ["the submission is silent", { ...hung, endedAtMs: 1 }, { exitCode: 1, endedAtMs: 2 }, "wall_limit"],
    ["the interactor is silent", { ...hung, endedAtMs: 1 }, { ...hung, endedAtMs: 2 }, "checker_error"],
    ["the interactor crashes first", { ...crashed, endedAtMs: 2 }, { ...crashed, endedAtMs: 1 }, "checker_error"],
    [
      "the submission ends well, the interactor does not",
      { endedAtMs: 1 },
      { ...crashed, endedAtMs: 2 },
      "checker_error",
    ],
    [
      "the submission leaves too early, and the interactor speaks to nobody",
      { endedAtMs: 1 },
      { ...crashed, signal: "SIGPIPE", endedAtMs: 2 },
      "wrong_answer",
    ],
  ] as const)("when %s", (_, submission, interactor, verdict) => {
    expect(judgeInteraction(runResult(submission), runResult(interactor), 1).verdict).toBe(verdict);
  });
});
