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
import type { JudgeCase, JudgeProgram, JudgeRequest } from "../../shared/judge-request.ts";
import type { JudgeBuild, JudgeCaseResult, JudgeResult, Verdict } from "../../shared/judge-result.ts";
import type { UnfinishedOutcome } from "./container.ts";
import { type AttemptFacts, type ContainerRunner, failed, type JobContext, type JobOutcome } from "./context.ts";
import { CaseDataError, CaseFiles } from "./judge/case-files.ts";
import { caseResult, skippedResult } from "./judge/case-result.ts";
import { type CaseRunner, createCaseRunner, type JudgedRun } from "./judge/case-run.ts";
import { createInteractiveRunner } from "./judge/interactive-run.ts";
import { prepareProgram, type ReadyProgram, type UnbuiltProgram } from "./judge/program.ts";
import { Schedule } from "./judge/schedule.ts";
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

  if (submission.kind === "not built") return unjudged("compile_error", submission.message);
  if (judge?.kind === "not built") {
    const name = interactor === undefined ? "checker" : "interactor";
    return unjudged("checker_error", `the ${name}: ${judge.message}`);
  }
  const runCase = chooseRunner(request, submission, judge, context);
  const report = (data: CaseProgress): void => progress.report({ name: "case", data });
  const scratch = join(outputSpool.directory, "judge");
  const results = await runCases(request, runCase, { scratch, report }, slot, context, signal);
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

/** Runs all cases that are not skipped. @returns their results in the order of the request, or how the attempt ends */
async function runCases(
  request: JudgeRequest,
  runOnce: CaseRunner,
  { scratch, report }: { readonly scratch: string; readonly report: (progress: CaseProgress) => void },
  ownSlot: ContainerRunner,
  context: JobContext,
  signal: AbortSignal,
): Promise<readonly JudgeCaseResult[] | UnfinishedOutcome> {
  const stop = new AbortController();
  const all = AbortSignal.any([signal, stop.signal]);
  const files = await CaseFiles.open(scratch, context.blobs, all);
  const schedule = new Schedule(request);
  const results = new Map<number, JudgeCaseResult>();
  const running = new Map<number, { readonly done: Promise<void>; readonly stop: AbortController }>();
  let ending: UnfinishedOutcome | undefined;
  let ownState: "free" | "busy" = "free";

  const acquire = (): (Disposable & { readonly slot: ContainerRunner }) | undefined => {
    if (ownState === "busy") return context.slots.tryAcquire();
    ownState = "busy";
    return { slot: ownSlot, [Symbol.dispose]: () => void (ownState = "free") };
  };
  const resultOf = (judged: JudgeCase, index: number): JudgeCaseResult =>
    (schedule.isSkipped(index) ? undefined : results.get(index)) ?? skippedResult(judged);
  let reported = 0;
  const reportSettled = (): void => {
    for (; reported < schedule.settledInOrder; reported++) {
      const judged = request.cases[reported];
      if (judged !== undefined) report(progressOf(resultOf(judged, reported)));
    }
  };
  const run = async (index: number, judged: JudgeCase, slot: ContainerRunner, own: AbortSignal): Promise<void> => {
    const runs = await runRepeatedly(request.repeat, index, judged, files, runOnce, slot, AbortSignal.any([all, own]));
    if ("kind" in runs) {
      // One that was stopped because it is skipped ends the attempt for nobody.
      if (runs.kind === "canceled" && own.aborted) return;
      ending ??= runs;
      stop.abort();
      return;
    }
    const result = caseResult(judged, runs);
    results.set(index, result);
    const verdict = result.verdict === "accepted" ? "accepted" : "not accepted";
    for (const other of schedule.settle(index, verdict)) running.get(other)?.stop.abort();
    reportSettled();
  };
  const begin = (): "begun" | "nothing to begin" => {
    using place = new DisposableStack();
    const acquired = acquire();
    const index = acquired === undefined ? undefined : schedule.begin();
    if (acquired === undefined) return "nothing to begin";
    place.use(acquired);
    const judged = index === undefined ? undefined : request.cases[index];
    if (index === undefined || judged === undefined) return "nothing to begin";
    const kept = place.move();
    const own = new AbortController();
    const done = run(index, judged, acquired.slot, own.signal).finally(() => {
      kept.dispose();
      running.delete(index);
    });
    running.set(index, { done, stop: own });
    return "begun";
  };

  try {
    while (!all.aborted && !(schedule.isOver && running.size === 0)) {
      while (begin() === "begun");
      if (running.size === 0) throw new Error("cases are left, and nothing that they wait for");
      await Promise.race([...running.values()].map(({ done }) => done));
    }
  } finally {
    stop.abort();
    await Promise.allSettled([...running.values()].map(({ done }) => done));
  }
  if (ending !== undefined) return ending;
  if (signal.aborted) return { kind: "canceled" };
  return request.cases.map(resultOf);
}

/** What those who watch a job are told of a case, in the order of the request, when it is certain. */
type CaseProgress = Readonly<Record<string, unknown>>;

function progressOf({ name, group, verdict, points, pointsMax, message, usage }: JudgeCaseResult): CaseProgress {
  return { name, group, verdict, points, pointsMax, message, ...usage };
}

/** Runs a case as often as is asked for, or until it is not accepted. */
async function runRepeatedly(
  repeat: number,
  index: number,
  judged: JudgeCase,
  files: CaseFiles,
  runOnce: CaseRunner,
  slot: ContainerRunner,
  signal: AbortSignal,
): Promise<readonly [JudgedRun, ...JudgedRun[]] | UnfinishedOutcome> {
  try {
    await using directory = await files.prepare(index, judged);
    const first = await runOnce(judged, directory, slot, signal);
    if (first.kind !== "judged") return first;
    const runs: [JudgedRun, ...JudgedRun[]] = [first];
    while (runs.length < repeat && runs.at(-1)?.judgement.verdict === "accepted") {
      const next = await runOnce(judged, directory, slot, signal);
      if (next.kind !== "judged") return next;
      runs.push(next);
    }
    return runs;
  } catch (error) {
    if (signal.aborted) return { kind: "canceled" };
    if (error instanceof CaseDataError) return failed("blob_unavailable", error.message, error.retry);
    throw error;
  }
}

function buildOf(program: ReadyProgram | UnbuiltProgram | undefined): JudgeBuild | null {
  return program?.build ?? null;
}

function round(milliseconds: number): number {
  return Math.round(milliseconds * 1e3) / 1e3;
}
