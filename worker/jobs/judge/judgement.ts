/** What is said of one run of a case, and how it follows from what the containers did. */
import type { Verdict } from "../../../shared/judge-result.ts";
import type { Outcome, RunResult } from "../../container/spec.ts";

/** A verdict with the points that it is worth. */
export interface Judgement {
  readonly verdict: Verdict;
  readonly points: number;
  readonly message: string;
}

/** How much of what a checker says is kept. */
const MESSAGE_CHARACTERS = 1000;

/** What a submission's own ending means; undefined when it ended well, and its output decides. */
export function judgeEnding({ outcome, exitCode, signal }: RunResult): Judgement | undefined {
  const failed = (verdict: Verdict, message: string): Judgement => ({ verdict, points: 0, message });
  switch (outcome) {
    case "exited":
      return exitCode === 0 ? undefined : failed("runtime_error", `exit code ${exitCode}`);
    case "signaled":
      return failed("runtime_error", `ended by ${signal}`);
    case "disk_limit":
    case "process_limit":
      return failed("runtime_error", limitMessages[outcome]);
    case "cpu_limit":
    case "wall_limit":
    case "memory_limit":
    case "output_limit":
      return failed(outcome, limitMessages[outcome]);
    default:
      return outcome satisfies never;
  }
}

const limitMessages = {
  cpu_limit: "ended after its CPU time was used up",
  wall_limit: "ended after its time was up",
  memory_limit: "ended as it was out of memory",
  output_limit: "ended as it printed too much",
  disk_limit: "failed with its disk full",
  process_limit: "failed with too many processes",
} as const satisfies Partial<Record<Outcome, string>>;

/**
 * What a checker or an interactor says, by testlib's exit codes: 0 ok, 1 wrong, 2 presentation, 3 fail, 4 dirt after the
 * answer, 7 points, 8 unexpected end. Points stand at the beginning of its message, behind the word `points` or without.
 * Its message is what it printed to stderr, or else to stdout.
 *
 * @param pointsMax what the case is worth; more than that is the checker's failure
 */
export function judgeByExitCode(result: RunResult, speaker: "checker" | "interactor", pointsMax: number): Judgement {
  const message = messageOf(result);
  const judged = (verdict: Verdict, points = 0): Judgement => ({ verdict, points, message });
  const broken = (reason: string): Judgement => {
    const said = message === "" ? "" : `: ${message}`;
    return { verdict: "checker_error", points: 0, message: `the ${speaker} ${reason}${said}` };
  };
  const ending = judgeEnding(result);
  if (result.outcome !== "exited") return broken(`failed: ${ending?.message ?? result.outcome}`);
  switch (result.exitCode) {
    case 0:
      return judged("accepted", pointsMax);
    case 1:
      return judged("wrong_answer");
    case 2:
    case 4:
    case 8:
      return judged("presentation_error");
    case 3:
      return broken("failed");
    case 7: {
      const points = pointsIn(message);
      if (points === undefined) return broken("gave points, and did not say how many");
      if (points > pointsMax) return broken(`gave ${points} points of ${pointsMax}`);
      if (points === pointsMax) return judged("accepted", points);
      return points === 0 ? judged("wrong_answer") : judged("partially_correct", points);
    }
    default:
      return broken(`ended with exit code ${result.exitCode}, which means nothing`);
  }
}

function messageOf({ stdout, stderr }: RunResult): string {
  const said = stderr.content.byteLength > 0 ? stderr : stdout;
  return Buffer.from(said.content).toString().trim().slice(0, MESSAGE_CHARACTERS).toWellFormed();
}

function pointsIn(message: string): number | undefined {
  const [, number] = /^(?:points\s+)?(\d+(?:\.\d+)?)(?:\s|$)/.exec(message) ?? [];
  return number === undefined ? undefined : Number(number);
}
