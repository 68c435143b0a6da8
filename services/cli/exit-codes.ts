import { constants } from "node:os";
import type { JudgeJob, RunJob, ShardJob } from "../../shared/job.ts";
import type { JobResult } from "../../shared/job-result.ts";

/** Exit codes that are ours; the rest are the program's own. As timeout(1), `docker run` and the shells have them. */
export const exitCodes = {
  success: 0,
  /** One of the limits ended the program; the last line of stderr names it. */
  limit: 124,
  /** Of `longshore judge`: the submission was judged, and is not accepted. */
  notAccepted: 1,
  /** Of `longshore shard`: not everything passed. */
  notPassed: 1,
  /** The program was not run, by no fault of its own: API not reached, request refused, job failed. */
  ownFailure: 125,
  /** 128 and the number of the signal that ended the program. */
  signalBase: 128,
} as const;

/** The exit code of `longshore run` for a job that is finished. */
export function exitCodeOf(job: RunJob): number {
  if (job.state === "canceled") return exitCodes.signalBase + constants.signals.SIGINT;
  return job.result === null ? exitCodes.ownFailure : exitCodeOfResult(job.result);
}

/** The exit code of `longshore judge` for a job that is finished. */
export function exitCodeOfJudge({ state, result }: JudgeJob): number {
  if (state === "canceled") return exitCodes.signalBase + constants.signals.SIGINT;
  if (result === null) return exitCodes.ownFailure;
  return result.verdict === "accepted" ? exitCodes.success : exitCodes.notAccepted;
}

/** The exit code of `longshore shard` for a job that is finished. */
export function exitCodeOfShard({ state, result }: Pick<ShardJob, "state" | "result">): number {
  if (state === "canceled") return exitCodes.signalBase + constants.signals.SIGINT;
  if (result === null) return exitCodes.ownFailure;
  return result.outcome === "passed" ? exitCodes.success : exitCodes.notPassed;
}

function exitCodeOfResult(result: JobResult): number {
  switch (result.outcome) {
    case "exited":
      return result.exitCode ?? exitCodes.ownFailure;
    case "signaled":
      return exitCodes.signalBase + signalNumber(result.signal);
    case "build_failed":
      // The compiler's own; 0 would claim that the program ran.
      return result.build?.exitCode || 1;
    case "cpu_limit":
    case "wall_limit":
    case "memory_limit":
    case "output_limit":
    case "disk_limit":
    case "process_limit":
      return exitCodes.limit;
    default:
      return result.outcome satisfies never;
  }
}

function signalNumber(name: string | null): number {
  const known = Object.entries(constants.signals).find(([signal]) => signal === name);
  return known?.[1] ?? constants.signals.SIGKILL;
}
