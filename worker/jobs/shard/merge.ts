/** The second half of a job of kind `shard`: from what its parts have done to its result. */
import { join } from "node:path";
import type { PartStanding, ShardPartRequest, ShardPlan } from "../../../shared/shard-part.ts";
import { REPORT_PATH, type ShardRequest } from "../../../shared/shard-request.ts";
import type { ShardReport, ShardResult } from "../../../shared/shard-result.ts";
import { type AttemptFacts, failed, type JobContext, type JobOutcome } from "../context.ts";
import type { Progress } from "../progress.ts";
import { describeFaults, evennessOf, faultsOf, reportOf, round, shardsMs } from "./describe.ts";
import { eventOf, partsOf } from "./parts.ts";
import { fetchReports, REPORTS_FILE } from "./part-reports.ts";
import type { MergedSuite, MergeTask } from "./reading/merge-task.ts";
import { reportReaders } from "./reading/pool.ts";
import { ProcessLimitError } from "./reading/process-pool.ts";

export async function mergeParts(
  request: ShardRequest,
  plan: ShardPlan,
  parts: readonly PartStanding[],
  { job, outputSpool, progress }: AttemptFacts,
  context: JobContext,
  signal: AbortSignal,
): Promise<JobOutcome> {
  const beganMs = performance.now();
  const error = errorOfAll(parts);
  if (error !== undefined) return failed(error.code, error.message, "pointless");
  const { directory } = outputSpool;
  const reports = await fetchReports(parts, context.blobs, directory);
  if (signal.aborted) return { kind: "canceled" };
  const target = join(directory, "report");
  const task = {
    plan: { parts: plan.parts, batches: plan.batches },
    parts: parts.map((part, index) => ({
      state: part.state,
      file: undefined,
      fault: null,
      ...reports[index],
      wallTimesMs: "result" in part ? (part.result?.runs ?? []).map(({ wallTimeMs }) => wallTimeMs) : [],
    })),
    name: request.suite ?? "longshore",
    target,
  };
  const merged = await mergeWithin(task, signal);
  if ("kind" in merged) return merged;
  const { counts, countsOfParts, failures, flaky, lost, slowest, itemTimesMs, startMs, report } = merged;
  const shards = parts.map((part, index) => reportOf(index, part, plan, reports, countsOfParts));
  await context.shards.remember(request, { itemsMs: itemTimesMs, startMs });
  tellUntold(partsOf(job, request, plan), parts, shards, progress);

  const faults = faultsOf(parts, reports);
  const isPassed = counts.failed + counts.errored + counts.lost === 0 && faults.length === 0;
  const result: ShardResult = {
    outcome: isPassed ? "passed" : "failed",
    message: isPassed ? "" : describeFaults(counts, faults),
    counts,
    failures: [...failures],
    flaky: [...flaky],
    lost: [...lost],
    slowest: [...slowest],
    shards,
    evenness: evennessOf(shards),
    strategy: request.strategy,
    setup: plan.setup,
    discovery: plan.discovery,
    report,
    timings: { ...plan.timings, shardsMs: shardsMs(parts), mergeMs: round(performance.now() - beganMs) },
    image: plan.image,
    worker: context.worker,
  };
  const files = parts.flatMap((part) => ("result" in part ? (part.result?.files ?? []) : []));
  const stored = files.flatMap((file) => ("blob" in file && file.path !== REPORTS_FILE ? [file] : []));
  return { kind: "merged", result, outputs: [{ path: REPORT_PATH, file: target }, ...stored] };
}

/** Merges within what that may take; every shard could be read by itself, and all of them are too much all the same. */
async function mergeWithin(task: MergeTask, signal: AbortSignal): Promise<MergedSuite | JobOutcome> {
  try {
    return await reportReaders.merge(task, signal);
  } catch (error) {
    if (signal.aborted) return { kind: "canceled" };
    if (!(error instanceof ProcessLimitError)) throw error;
    const wayOut = "have tests print less, or run the suite as several jobs";
    const message = `merging the reports of ${task.parts.length} shards ${error.message}: ${wayOut}`;
    return failed("reports_too_large", message, "pointless");
  }
}

/** Why no part has done anything, if that is so: then the job has failed, and not its tests. */
function errorOfAll(parts: readonly PartStanding[]): NonNullable<ShardReport["error"]> | undefined {
  const errors = parts.map((part) => (part.state === "failed" ? part.error : null));
  return errors.every((error) => error !== null) ? (errors[0] ?? undefined) : undefined;
}

/** A shard that was lost, or stopped before it had begun, could not say so itself. */
function tellUntold(
  requests: readonly ShardPartRequest[],
  parts: readonly PartStanding[],
  shards: readonly ShardReport[],
  progress: Progress,
): void {
  for (const [index, request] of requests.entries()) {
    const [part, report] = [parts[index], shards[index]];
    if (part === undefined || report === undefined || ("result" in part && part.result !== null)) continue;
    const { state, attempt, worker, items, counts, wallTimeMs } = report;
    const data = { ...eventOf(request), state, attempt, worker, items, counts, wallTimeMs };
    progress.report({ name: "shard", data });
  }
}
