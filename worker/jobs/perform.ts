import type { JobRequest } from "../../shared/job-request.ts";
import type { AttemptFacts, ContainerRunner, JobContext, JobOutcome } from "./context.ts";
import { performJudge } from "./judge.ts";
import { performRun } from "./run.ts";

/**
 * Does a job, whatever its kind.
 */
export async function performJob(
  request: JobRequest,
  attempt: AttemptFacts,
  slot: ContainerRunner,
  context: JobContext,
  signal: AbortSignal,
): Promise<JobOutcome> {
  switch (request.kind) {
    case "run":
      return await performRun(request, attempt, slot, context, signal);
    case "judge":
      return await performJudge(request, attempt, slot, context, signal);
    default:
      return request satisfies never;
  }
}
