/** One run of one case: the submission in a container of its own, then whoever says what it is worth. */
import { open } from "node:fs/promises";
import type { JudgeCase, JudgeChecker } from "../../../shared/judge-request.ts";
import type { ContainerSpec, RunResult } from "../../container/spec.ts";
import { openDetached } from "../../container/streams.ts";
import { runContainer, type UnfinishedOutcome } from "../container.ts";
import type { ContainerRunner, JobContext } from "../context.ts";
import { type CaseDirectory, INPUT } from "./case-files.ts";
import { compareInThread } from "./compare/pool.ts";
import { type Judgement, judgeByExitCode, judgeEnding } from "./judgement.ts";
import type { ReadyProgram } from "./program.ts";

/** What the submission did, and what is said of it. */
export interface JudgedRun {
  readonly kind: "judged";
  readonly result: RunResult;
  readonly judgement: Judgement;
}

/** Runs a case once. */
export type CaseRunner = (
  judged: JudgeCase,
  directory: CaseDirectory,
  slot: ContainerRunner,
  signal: AbortSignal,
) => Promise<JudgedRun | UnfinishedOutcome>;

/** Bytes of a submission's streams that are in the result. */
export const KEPT_BYTES = 1024;

/** Bytes of what a checker says that are looked at. */
const SPEECH_BYTES = 16 * 1024;

/** Where a checker finds a case's files. */
const FILES = "/judge";

/** Where an interactor may write what a checker would get as output: there is none, and testlib wants the name. */
export const INTERACTOR_OUTPUT = "/tmp/output";

/** What a program checks with. */
export type ReadyChecker = Exclude<JudgeChecker, { type: "program" }> | ReadyProgram;

/** Runs the submission on the case's input, and has what it prints checked. */
export function createCaseRunner(submission: ReadyProgram, checker: ReadyChecker, context: JobContext): CaseRunner {
  return async (judged, directory, slot, signal) => {
    await using output = await open(directory.output, "w", 0o644);
    const streams = { stdin: openDetached(directory.path, INPUT), stdoutCopy: output.fd, keptBytes: KEPT_BYTES };
    const spec = { ...submission.spec, limits: judged.limits, streams };
    const result = await runContainer(spec, { stage: "run", ...submission }, slot, context, signal);
    if (result.kind !== "ended") return result;
    const ending = judgeEnding(result);
    if (ending !== undefined) return { kind: "judged", result, judgement: ending };
    if (!("kind" in checker)) {
      const { output: printed, expected } = directory;
      const { verdict, message } = await compareInThread({ output: printed, expected, rule: checker }, signal);
      return {
        kind: "judged",
        result,
        judgement: { verdict, message, points: verdict === "accepted" ? judged.points : 0 },
      };
    }
    const checked = await runContainer(
      withFiles(checker.spec, directory, checkerArguments),
      { stage: "check", ...checker },
      slot,
      context,
      signal,
    );
    if (checked.kind !== "ended") return checked;
    return { kind: "judged", result, judgement: judgeByExitCode(checked, "checker", judged.points) };
  };
}

/** A program that judges: with a case's files mounted, and their paths as its arguments. */
export function withFiles(
  spec: ContainerSpec,
  { path }: Pick<CaseDirectory, "path">,
  words: readonly string[],
): ContainerSpec {
  return {
    ...spec,
    command: [...spec.command, ...words],
    volumes: [{ source: path, at: FILES, mode: "ro", whenEmpty: "leave" }],
    streams: { keptBytes: SPEECH_BYTES },
  };
}

/** The paths that a checker gets. */
export const checkerArguments = [`${FILES}/${INPUT}`, `${FILES}/output`, `${FILES}/expected`];

/** The paths that an interactor gets. */
export const interactorArguments = [`${FILES}/${INPUT}`, INTERACTOR_OUTPUT, `${FILES}/expected`];
