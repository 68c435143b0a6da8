/**
 * Jobs of kind `judge`: a program is compiled once, run on every case, and what it does is given a verdict.
 *
 *   submission ─▶ build ─▶ layer ─┬─▶ case 1: run ─▶ check ─┐
 *   checker    ─▶ build ─▶ layer ─┤   case 2: run ─▶ check ─┼─▶ score
 *                                 └─▶ …                     ┘
 *
 * The job has one slot, and begins further cases in slots that are free. Those it gives back after each case, so that
 * whoever waits for one waits no longer than that, and nobody waits for somebody who waits.
 */
import { join } from "node:path";
import type { JudgeProgram, JudgeRequest } from "../../shared/judge-request.ts";
import type { CaseEvent, JudgeBuild, JudgeCaseResult, JudgeResult, Verdict } from "../../shared/judge-result.ts";
import type { AttemptFacts, ContainerRunner, JobContext, JobOutcome } from "./context.ts";
import { CaseFiles } from "./judge/case-files.ts";
import { skippedResult } from "./judge/case-result.ts";
import { type CaseRunner, createCaseRunner } from "./judge/case-run.ts";
import { CaseRuns } from "./judge/case-runs.ts";
import { createInteractiveRunner } from "./judge/interactive-run.ts";
import { prepareProgram, type ReadyProgram, type UnbuiltProgram } from "./judge/program.ts";
import { scoreOf } from "./judge/score.ts";

/** Judges a request in a slot, and in others that are free. Does not throw for what a program, an image or the host does. */
export async function performJudge(
  request: JudgeRequest,
  { queuedMs, outputSpool, progress }: AttemptFacts,
  slot: ContainerRunner,
  context: JobContext,
  signal: AbortSignal,
): Promise<JobOutcome> {
  // Until nothing of the images and the builds is mounted any more, they are not removed.
  await using leases = new AsyncDisposableStack();
  const beganMs = performance.now();
  const prepare = (program: JudgeProgram) => prepareProgram(program, slot, context, leases, signal);
  const { checker, interactor } = request;

  const submission = await prepare(request);
  if (submission.kind === "failed" || submission.kind === "canceled") return submission;
  const judgeProgram = interactor ?? (checker.type === "program" ? checker : undefined);
  const judge = submission.kind === "ready" && judgeProgram !== undefined ? await prepare(judgeProgram) : undefined;
  if (judge?.kind === "failed" || judge?.kind === "canceled") return judge;
  const builtMs = performance.now();

  const conclude = (
    results: readonly JudgeCaseResult[],
    ending?: { verdict: Verdict; message: string },
  ): JobOutcome => {
    const score = scoreOf(results, request.groups);
    const result: JudgeResult = {
      ...score,
      ...ending,
      groups: [...score.groups],
      cases: [...results],
      builds: {
        submission: submission.build,
        checker: interactor === undefined ? buildOf(judge) : null,
        interactor: interactor === undefined ? null : buildOf(judge),
      },
      timings: {
        queuedMs,
        pullMs: submission.pullMs + (judge?.pullMs ?? 0),
        buildMs: round(builtMs - beganMs),
        casesMs: round(performance.now() - builtMs),
      },
      image: submission.image.digest,
      worker: context.worker,
    };
    return { kind: "judged", result };
  };
  const unjudged = (verdict: Verdict, message: string) =>
    conclude(request.cases.map(skippedResult), { verdict, message });

  if (submission.kind === "not built") return unjudged("compile_error", `the submission ${submission.message}`);
  if (judge?.kind === "not built") {
    const name = interactor === undefined ? "checker" : "interactor";
    return unjudged("checker_error", `the ${name} ${judge.message}`);
  }
  const runOnce = chooseRunner(request, submission, judge, context);
  const files = await CaseFiles.open(join(outputSpool.directory, "judge"), context, signal);
  const report = (result: JudgeCaseResult): void => progress.report({ name: "case", data: progressOf(result) });
  const { slots } = context;
  const results = await new CaseRuns({ request, runOnce, files, slot, slots, report }, signal).runAll();
  return "kind" in results ? results : conclude(results);
}

function chooseRunner(
  { checker, interactor }: JudgeRequest,
  submission: ReadyProgram,
  judge: ReadyProgram | undefined,
  context: JobContext,
): CaseRunner {
  if (judge !== undefined && interactor !== undefined) return createInteractiveRunner(submission, judge, context);
  if (judge !== undefined) return createCaseRunner(submission, judge, context);
  if (checker.type === "program") throw new Error("a checker was not prepared");
  return createCaseRunner(submission, checker, context);
}

/** What those who watch a job are told of a case. */
function progressOf({ name, group, verdict, points, pointsMax, message, usage }: JudgeCaseResult): CaseEvent {
  return { name, group, verdict, points, pointsMax, message, ...usage };
}

function buildOf(program: ReadyProgram | UnbuiltProgram | undefined): JudgeBuild | null {
  return program?.build ?? null;
}

function round(milliseconds: number): number {
  return Math.round(milliseconds * 1e3) / 1e3;
}
