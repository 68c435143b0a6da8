/** The second half of a job of kind `shard`: from what its parts have done to its result. */
import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { type PartStanding, type ShardPlan } from "../../../shared/shard-part.ts";
import { REPORT_PATH, type ShardRequest } from "../../../shared/shard-request.ts";
import type {
  FailedTest,
  FlakyTest,
  LostItem,
  ShardReport,
  ShardResult,
  SlowTest,
} from "../../../shared/shard-result.ts";
import { type AttemptFacts, failed, type JobContext, type JobOutcome } from "../context.ts";
import type { ReturnedFile } from "../result.ts";
import { eventOf, partsOf } from "./divide.ts";
import { lostItems } from "./lost-items.ts";
import { REPORTS_FILE } from "./part.ts";
import { type PartReports, readPartReports } from "./part-reports.ts";
import { countTests, type MergedTest, mergeReports, slowestTests } from "./report/merge-reports.ts";
import { isFailing, isFlaky, type TestCase } from "./report/test-case.ts";
import { writeReport } from "./report/write-report.ts";
import { evenness } from "./split/split.ts";

/** What lists of a result have at most: all else is in the report. */
const TESTS_MAX = 200;
const LOST_MAX = 1000;
const SLOWEST = 10;

/** What is kept of a text of a failure, in characters. */
const MESSAGE_CHARACTERS = 2000;
const DETAILS_CHARACTERS = 8000;

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
  const reports = await readPartReports(parts, context.blobs);
  if (signal.aborted) return { kind: "canceled" };
  const merged = mergeReports(reports.flatMap(({ runs }) => runs));
  const lost = lostItems(plan, parts, reports, merged);
  const counts = { ...countTests(merged.tests), lost: lost.length };
  const shards = parts.map((part, index) => reportOf(index, part, plan, reports, merged.tests, lost));
  const report = await writeMerged(merged.tests, request.suite ?? "longshore", outputSpool.directory);
  await context.shards.remember(request, merged.itemTimesMs);
  await tellUntold(job, token, request, plan, shards, context);

  const faults = faultsOf(parts, reports);
  const isPassed = counts.failed + counts.errored + counts.lost === 0 && faults.length === 0;
  const result: ShardResult = {
    outcome: isPassed ? "passed" : "failed",
    message: isPassed ? "" : describeFaults(counts, faults),
    counts,
    failures: merged.tests.filter(isFailing).slice(0, TESTS_MAX).map(failedTest),
    flaky: merged.tests.filter(isFlaky).slice(0, TESTS_MAX).map(flakyTest),
    lost: lost.slice(0, LOST_MAX),
    slowest: slowestTests(merged.tests, SLOWEST).map(slowTest),
    shards,
    evenness: evennessOf(shards),
    strategy: request.strategy,
    setup: plan.setup,
    discovery: plan.discovery,
    report: { bytes: report.bytes, sha256: report.sha256 },
    timings: { ...plan.timings, shardsMs: shardsMs(parts), mergeMs: round(performance.now() - beganMs) },
    image: plan.image,
    worker: context.worker,
  };
  const files = parts.flatMap((part) => ("result" in part ? (part.result?.files ?? []) : []));
  const stored = files.flatMap((file) => ("blob" in file && file.path !== REPORTS_FILE ? [file] : []));
  return { kind: "merged", result, outputs: [report.file, ...stored] };
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
  tests: readonly MergedTest[],
  lost: readonly LostItem[],
): ShardReport {
  if (part.state !== "done" && part.state !== "failed" && part.state !== "canceled") {
    throw new Error(`shard ${index + 1} is ${part.state}, and was to be merged`);
  }
  const shard = index + 1;
  const { state, attempt, worker, result, error } = part;
  const nothing = { content: "", encoding: "utf8", bytes: 0, truncated: false } as const;
  const files = (result?.files ?? []).filter(({ path }) => path !== REPORTS_FILE);
  const isLost = lost.filter((item) => item.shard === shard).length;
  return {
    shard,
    state,
    attempt,
    worker: result?.worker ?? worker,
    items: result?.items ?? 0,
    counts: { ...countTests(tests.filter((test) => test.shard === index)), lost: isLost },
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

function identityOf({ id, suite, classname, name, file, timeMs, shard }: MergedTest) {
  return { id, suite, classname, name, file, timeMs, shard: shard + 1 };
}

function failedTest(test: MergedTest): FailedTest {
  const { failure, runs, systemOut, systemErr } = test;
  return {
    ...identityOf(test),
    outcome: test.outcome === "errored" ? "errored" : "failed",
    runs,
    message: shorten(failure?.message ?? "", MESSAGE_CHARACTERS),
    details: shorten(failure?.details ?? "", DETAILS_CHARACTERS),
    stdout: shorten(systemOut, MESSAGE_CHARACTERS),
    stderr: shorten(systemErr, MESSAGE_CHARACTERS),
  };
}

function flakyTest(test: MergedTest): FlakyTest {
  const last = test.earlierFailures.at(-1);
  return { ...identityOf(test), runs: test.runs, message: shorten(last?.message ?? "", MESSAGE_CHARACTERS) };
}

function slowTest(test: MergedTest): SlowTest {
  return identityOf(test);
}

function shorten(text: string, characters: number): string {
  return text.length <= characters ? text : `${text.slice(0, characters).toWellFormed()}…`;
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

/** Writes the report of all tests to a file, as it may be large. */
async function writeMerged(
  tests: readonly TestCase[],
  name: string,
  directory: string,
): Promise<{ readonly file: ReturnedFile; readonly bytes: number; readonly sha256: string }> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const path = join(directory, "report");
  const hash = createHash("sha256");
  let bytes = 0;
  async function* pieces(): AsyncGenerator<Buffer, void, void> {
    for (const text of writeReport(tests, name)) {
      const piece = Buffer.from(text);
      bytes += piece.length;
      hash.update(piece);
      yield piece;
    }
  }
  await pipeline(pieces(), createWriteStream(path, { mode: 0o600 }));
  return { file: { path: REPORT_PATH, file: path }, bytes, sha256: hash.digest("hex") };
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
