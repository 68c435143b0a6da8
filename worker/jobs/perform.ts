import type { WorkerRequest } from "../../shared/job-request.ts";
import type { AttemptFacts, JobContext, JobOutcome } from "./context.ts";
import { performJudge } from "./judge.ts";
import { performRun } from "./run.ts";
import { performShard } from "./shard.ts";
import { performShardPart } from "./shard/part.ts";
import { inSlot } from "./slot.ts";

/**
 * Does a job, or a part of one, whatever its kind.
 */
export async function performJob(
  request: WorkerRequest,
  attempt: AttemptFacts,
  context: JobContext,
  signal: AbortSignal,
): Promise<JobOutcome> {
  switch (request.kind) {
    case "run":
      return await performRun(request, attempt, context, signal);
    case "judge":
      return await inSlot(context, signal, (slot) => performJudge(request, attempt, slot, context, signal));
    case "shard":
      return await performShard(request, attempt, context, signal);
    case "shard-part":
      return await performShardPart(request, attempt, context, signal);
    default:
      return request satisfies never;
  }
}
