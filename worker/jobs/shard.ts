/**
 * Jobs of kind `shard`: a test suite in parts, each of which any worker takes.
 *
 *   claim ─▶ set up ─▶ discover ─▶ split ─▶ parts into the queue ─▶ (nobody has the job) ─▶ claim ─▶ merge
 *                                             │                                              ▲
 *                                             └─▶ shard 1 │ shard 2 │ … on other slots ──────┘
 *
 * The job is claimed twice by one attempt, and has a slot only while it sets up and discovers. What is between lies in
 * Redis, the plan in the record of the job, and a record for each part; so whoever dies in between, the next attempt goes
 * on there.
 */
import { isOver, type ShardPartRequest } from "../../shared/shard-part.ts";
import type { ShardRequest } from "../../shared/shard-request.ts";
import type { AttemptFacts, JobContext, JobOutcome } from "./context.ts";
import { divide } from "./shard/divide.ts";
import { mergeParts } from "./shard/merge.ts";
import { eventOf, partsOf } from "./shard/parts.ts";

export async function performShard(
  request: ShardRequest,
  attempt: AttemptFacts,
  context: JobContext,
  signal: AbortSignal,
): Promise<JobOutcome> {
  const { shards } = context;
  const { job, token } = attempt;
  let plan = await shards.plan(job);
  if (plan === undefined) {
    const divided = await divide(request, attempt, context, signal);
    if (divided.kind !== "planned") return divided;
    plan = divided.plan;
  } else {
    const standings = await shards.standings(job, plan.parts.length);
    if (standings.every(isOver)) return await mergeParts(request, plan, standings, attempt, context, signal);
  }
  const parts = partsOf(job, request, plan);
  // What was told before stands before what is told of the parts.
  await attempt.progress.flush();
  await shards.fanOut(
    { id: job, token },
    plan,
    parts.map((part) => ({ request: part, event: eventOf(part) })),
  );
  return { kind: "divided", parts: await unfinished(job, parts, context) };
}

/** Those that are not over: what is over is not to be begun again. */
async function unfinished(
  job: string,
  parts: readonly ShardPartRequest[],
  { shards }: JobContext,
): Promise<ShardPartRequest[]> {
  const standings = await shards.standings(job, parts.length);
  return parts.filter((_, index) => {
    const standing = standings[index];
    return standing !== undefined && !isOver(standing);
  });
}
