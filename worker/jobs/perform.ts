import type { JobRequest } from "../../shared/job-request.ts";
import { type ContainerRunner, type JobContext, type JobOutcome, performRun } from "./run.ts";

/**
 * Does a job, whatever its kind.
 * @param queuedMs milliseconds between the request and the start of this attempt
 */
export async function performJob(
  request: JobRequest,
  queuedMs: number,
  slot: ContainerRunner,
  context: JobContext,
  signal: AbortSignal,
): Promise<JobOutcome> {
  switch (request.kind) {
    case "run":
      return await performRun(request, queuedMs, slot, context, signal);
    default:
      return request.kind satisfies never;
  }
}
