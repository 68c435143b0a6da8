/**
 * One run of an interactive case: submission and interactor in a container each, with the kernel's pipes between them.
 *
 *   slot        submission ── stdout ──▶ pipe ──▶ stdin ── interactor        the slot's companion
 *                          ◀── stdin ── pipe ◀── stdout ──
 *
 * Each end of a pipe is closed when its container has ended, and not before: so whoever ends because of the other ends
 * after it, and who ended first is known from the clock. But what is still said to one that has ended well, somebody else
 * hears: that nobody did would end the other by SIGPIPE in one language, and with an exit code in another, and only if it
 * spoke too late by a moment. A submission need not wait for the reply to its answer.
 */
import type { ContainerSpec, RunResult } from "../../container/spec.ts";
import { openPipe } from "../../container/streams.ts";
import { type ContainerLabels, runContainer } from "../container.ts";
import type { ContainerRunner, JobContext } from "../context.ts";
import { type CaseRunner, interactorArguments, KEPT_BYTES, withFiles } from "./case-run.ts";
import { type Judgement, judgeByExitCode, judgeEnding } from "./judgement.ts";
import { LateWords } from "./late-words.ts";
import type { ReadyProgram } from "./program.ts";

/** What an interactor may say to a submission that has ended well, in bytes. One that says more would never end. */
const LATE_BYTES = 1024 * 1024;

/** Runs submission and interactor against each other; the interactor's exit code is the verdict, if it gets that far. */
export function createInteractiveRunner(
  submission: ReadyProgram,
  interactor: ReadyProgram,
  context: JobContext,
): CaseRunner {
  return async (judged, directory, slot, signal) => {
    const companion = await context.slots.companionOf(slot);
    const [questions, answers] = [openPipe(), openPipe()];
    using resources = new DisposableStack();
    const lateAnswers = resources.use(new LateWords(answers.readEnd));
    const lateQuestions = resources.use(new LateWords(questions.readEnd));
    const failed = new AbortController();
    const both = AbortSignal.any([signal, failed.signal]);
    const streams = { stdin: questions.readEnd, stdout: answers.writeEnd, keptBytes: KEPT_BYTES };
    const asking = withFiles(interactor.spec, directory, interactorArguments);
    const { wallTimeMs } = asking.limits;
    const specs = [
      { ...submission.spec, limits: judged.limits, streams },
      {
        ...asking,
        // Its time is what it takes beyond the submission's: who waits for a submission that hangs has not hung itself.
        limits: { ...asking.limits, wallTimeMs: wallTimeMs + judged.limits.wallTimeMs },
        streams: { ...asking.streams, stdin: answers.readEnd, stdout: questions.writeEnd },
      },
    ] as const;
    const run = async (spec: ContainerSpec, labels: ContainerLabels, place: ContainerRunner) => {
      const result = await runContainer(spec, labels, place, context, both);
      // The other one would wait for somebody who never comes.
      if (result.kind !== "ended") failed.abort();
      return result;
    };
    const [played, asked] = await Promise.all([
      run(specs[0], { stage: "run", ...submission }, slot).then((result) => {
        if (result.kind === "ended" && judgeEnding(result) === undefined) lateQuestions.hear(LATE_BYTES);
        else lateQuestions[Symbol.dispose]();
        return result;
      }),
      run(specs[1], { stage: "check", ...interactor }, companion).then((result) => {
        const isAccepted =
          result.kind === "ended" && judgeByExitCode(result, "interactor", judged.points).verdict === "accepted";
        // All others are to end of it: who has an answer for nobody need not use up his time.
        if (isAccepted) lateAnswers.hear(Infinity);
        else lateAnswers[Symbol.dispose]();
        return result;
      }),
    ]);
    for (const result of [played, asked]) if (result.kind === "failed") return result;
    if (played.kind !== "ended" || asked.kind !== "ended") return { kind: "canceled" };
    return { kind: "judged", result: played, judgement: judgeInteraction(played, asked, judged.points) };
  };
}

/**
 * Who is to blame. The first to end badly: what the other one did after that, it did because of it.
 *
 * - A submission that ended badly before the interactor had ended failed by itself; unless the interactor goes on for all
 *   of its own time after that, which means that it has hung, and the submission has waited for it.
 * - A submission that ended well has the interactor's verdict, which finds nothing more to read. One that goes on speaking
 *   all the same is ended by SIGPIPE, and has done nothing wrong: the submission has left too early.
 * - An interactor that ended first gives its verdict. After an acceptance the submission still has to end well, as with
 *   DOMjudge and CMS; its last words are no fault of its, whoever hears them.
 */
export function judgeInteraction(submission: RunResult, interactor: RunResult, pointsMax: number): Judgement {
  const ending = judgeEnding(submission);
  const verdict = judgeByExitCode(interactor, "interactor", pointsMax);
  const submissionFirst = submission.endedAtMs <= interactor.endedAtMs;
  const hasLeft = ending === undefined && submissionFirst && interactor.signal === "SIGPIPE";
  if (hasLeft) return { verdict: "wrong_answer", points: 0, message: "ended while the interactor still spoke to it" };
  if (ending === undefined) return verdict;
  const hasHung = interactor.outcome === "wall_limit" && ending.verdict === "wall_limit";
  if (submissionFirst) return hasHung ? verdict : ending;
  return verdict.verdict === "accepted" && submission.signal !== "SIGPIPE" ? ending : verdict;
}
