import type { WorkerRequest } from "../../shared/job-request.ts";
import type { AttemptFacts, ContainerRunner, JobContext, JobOutcome } from "./context.ts";
import { performJudge } from "./judge.ts";
import { performRun } from "./run.ts";
import { performShard } from "./shard.ts";
import { performShardPart } from "./shard/part.ts";

/**
 * Does a job, or a part of one, whatever its kind.
 */
export async function performJob(
  request: WorkerRequest,
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
    case "shard":
      return await performShard(request, attempt, slot, context, signal);
    case "shard-part":
      return await performShardPart(request, attempt, slot, context, signal);
    default:
      return request satisfies never;
  }
}
