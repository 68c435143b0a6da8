/** The second half of a job of kind `shard`: from what its parts have done to its result. */
import { join } from "node:path";
import type { PartStanding, ShardPlan } from "../../../shared/shard-part.ts";
import { REPORT_PATH, type ShardRequest } from "../../../shared/shard-request.ts";
import type { ShardReport, ShardResult, TestCounts } from "../../../shared/shard-result.ts";
import { type AttemptFacts, failed, type JobContext, type JobOutcome } from "../context.ts";
import { eventOf, noCounts, partsOf } from "./divide.ts";
import { fetchReports, type PartReports, REPORTS_FILE } from "./part-reports.ts";
import { evenness } from "./split/split.ts";
import { mergeInThread } from "./threads/pool.ts";

export async function mergeParts(
  request: ShardRequest,
  plan: ShardPlan,
  parts: readonly PartStanding[],
  { job, token, outputSpool }: AttemptFacts,
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
  const merged = await mergeInThread(
    {
      plan: { parts: plan.parts, batches: plan.batches },
      parts: parts.map(({ state }, index) => ({ state, file: undefined, fault: null, ...reports[index] })),
      name: request.suite ?? "longshore",
      target,
    },
    signal,
  ).catch((failure: unknown) => {
    if (signal.aborted) return undefined;
    throw failure;
  });
  if (merged === undefined) return { kind: "canceled" };
  const { counts, countsOfParts, failures, flaky, lost, slowest, itemTimesMs, report } = merged;
  const shards = parts.map((part, index) => reportOf(index, part, plan, reports, countsOfParts));
  await context.shards.remember(request, itemTimesMs);
  await tellUntold(job, token, request, plan, shards, context);

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

/** Why no part has done anything, if that is so: then the job has failed, and not its tests. */
function errorOfAll(parts: readonly PartStanding[]): NonNullable<ShardReport["error"]> | undefined {
  const errors = parts.map((part) => (part.state === "failed" ? part.error : null));
  return errors.every((error) => error !== null) ? (errors[0] ?? undefined) : undefined;
}

function reportOf(
  index: number,
  part: PartStanding,
  plan: ShardPlan,
  reports: readonly PartReports[],
  counts: readonly TestCounts[],
): ShardReport {
  if (part.state !== "done" && part.state !== "failed" && part.state !== "canceled") {
    throw new Error(`shard ${index + 1} is ${part.state}, and was to be merged`);
  }
  const shard = index + 1;
  const { state, attempt, worker, result, error } = part;
  const nothing = { content: "", encoding: "utf8", bytes: 0, truncated: false } as const;
  const files = (result?.files ?? []).filter(({ path }) => path !== REPORTS_FILE);
  return {
    shard,
    state,
    attempt,
    worker: result?.worker ?? worker,
    items: result?.items ?? 0,
    counts: counts[index] ?? noCounts,
    wallTimeMs: round(result?.wallTimeMs ?? 0),
    expectedMs: plan.parts[index]?.expectedMs ?? null,
    runs: [...(result?.runs ?? [])],
    stdout: result?.stdout ?? nothing,
    stderr: result?.stderr ?? nothing,
    outputs: files.map((file) => {
      const { path } = file;
      return "error" in file ? { path, error: file.error } : { path, bytes: file.bytes, sha256: hexOf(file.blob) };
    }),
    error: error ?? (reports[index]?.fault ? { code: "blob_unavailable", message: reports[index].fault } : null),
  };
}

/** What is wrong besides tests and items. */
function faultsOf(parts: readonly PartStanding[], reports: readonly PartReports[]): string[] {
  return parts.flatMap((part, index) => {
    const name = `shard ${index + 1}`;
    const fault = reports[index]?.fault;
    if (part.state === "canceled") return [`${name} was stopped`];
    if (part.state === "failed") return [`${name} failed: ${part.error?.message ?? "it is lost"}`];
    if (fault) return [`${name}: ${fault}`];
    return "result" in part ? (part.result?.endings ?? []).map((ending) => `${name}: ${ending}`) : [];
  });
}

function describeFaults(counts: ShardResult["counts"], faults: readonly string[]): string {
  const say = (count: number, one: string, many: string): string[] =>
    count === 0 ? [] : [`${count} ${count === 1 ? one : many}`];
  const [first, ...others] = faults;
  return [
    ...say(counts.failed, "test failed", "tests failed"),
    ...say(counts.errored, "test broke", "tests broke"),
    ...say(counts.lost, "item is lost", "items are lost"),
    ...(first === undefined ? [] : [first]),
    ...say(others.length, "more fault", "more faults"),
  ].join("; ");
}

function evennessOf(shards: readonly ShardReport[]): number | null {
  // One that came when nothing was left did not run beside the others, but after them.
  const busy = shards.filter(({ state, runs }) => state === "done" && runs.length > 0);
  const value = evenness(busy.map(({ wallTimeMs }) => wallTimeMs));
  return value === null ? null : round(value);
}

/** From the first part's way into the queue to the end of the last one, by the clock of Redis. */
function shardsMs(parts: readonly PartStanding[]): number {
  const times = parts.flatMap((part) => ("createdAt" in part && part.finishedAt !== null ? [part] : []));
  const begin = Math.min(...times.map(({ createdAt }) => createdAt));
  const end = Math.max(...times.map(({ finishedAt }) => finishedAt ?? 0));
  return times.length === 0 ? 0 : round(Math.max(0, end - begin));
}

/** A shard that was lost or stopped could not say so itself. */
async function tellUntold(
  job: string,
  token: string,
  request: ShardRequest,
  plan: ShardPlan,
  shards: readonly ShardReport[],
  context: JobContext,
): Promise<void> {
  for (const part of partsOf(job, request, plan)) {
    const report = shards[part.shard - 1];
    if (report === undefined || report.state === "done") continue;
    const { state, attempt, worker, items, counts, wallTimeMs } = report;
    await context.shards.tell({ id: job, token }, job, {
      ...eventOf(part),
      ...{ state, attempt, worker, items, counts, wallTimeMs },
    });
  }
}

function hexOf(digest: string): string {
  return digest.slice("sha256:".length);
}

function round(value: number): number {
  return Math.round(value * 1e3) / 1e3;
}
