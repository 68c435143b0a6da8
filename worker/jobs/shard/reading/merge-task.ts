/** What all parts of a job have reported, made one: counts, lists, and the merged report. */
import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import type { ShardPlan } from "../../../../shared/shard-part.ts";
import type { FailedTest, FlakyTest, LostItem, SlowTest, TestCounts } from "../../../../shared/shard-result.ts";
import { countTests, type MergedTest, mergeReports, type ReportedRun, slowestTests } from "../report/merge-reports.ts";
import { isFailing, isFlaky } from "../report/test-case.ts";
import { writeReport } from "../report/write-report.ts";
import { lostItems, type PartOutcome } from "./lost-items.ts";
import { readRecords } from "./record.ts";

export interface MergeTask {
  readonly plan: Pick<ShardPlan, "parts" | "batches">;
  /** In their order. */
  readonly parts: readonly (Omit<PartOutcome, "runs"> & {
    /** Has what the part has written down of its commands. */
    readonly file: string | undefined;
    /** What its commands took, in milliseconds, as many of the first as are known. */
    readonly wallTimesMs: readonly number[];
  })[];
  /** Of the report. */
  readonly name: string;
  /** Where the report is to be written. */
  readonly target: string;
}

export interface MergedSuite {
  readonly counts: TestCounts;
  readonly countsOfParts: readonly TestCounts[];
  readonly failures: readonly FailedTest[];
  readonly flaky: readonly FlakyTest[];
  readonly slowest: readonly SlowTest[];
  readonly lost: readonly LostItem[];
  readonly itemTimesMs: ReadonlyMap<string, number>;
  /** What a command takes besides its tests, in milliseconds: of the one that takes least; undefined where none tells. */
  readonly startMs: number | undefined;
  readonly report: { readonly bytes: number; readonly sha256: string };
}

/** What lists of a result have at most: all else is in the report. */
const TESTS_MAX = 200;
const LOST_MAX = 1000;
const SLOWEST = 10;

/** What is kept of a text of a failure, in characters. */
const MESSAGE_CHARACTERS = 2000;
const DETAILS_CHARACTERS = 8000;

export async function mergeSuite({ plan, parts, name, target }: MergeTask): Promise<MergedSuite> {
  const outcomes: PartOutcome[] = [];
  const startsMs: number[] = [];
  for (const { file, wallTimesMs, ...part } of parts) {
    const runs = file === undefined ? [] : await readRecords([file]);
    outcomes.push({ ...part, runs });
    startsMs.push(...startsOf(runs, wallTimesMs));
  }
  const merged = mergeReports(outcomes.flatMap(({ runs }) => runs));
  const { tests, itemTimesMs } = merged;
  const lost = lostItems(plan, outcomes, merged);
  const testsOf = Map.groupBy(tests, ({ shard }) => shard);
  const lostOf = Map.groupBy(lost, ({ shard }) => shard);
  return {
    counts: { ...countTests(tests), lost: lost.length },
    countsOfParts: parts.map((_, index) => ({
      ...countTests(testsOf.get(index) ?? []),
      lost: lostOf.get(index + 1)?.length ?? 0,
    })),
    failures: tests.filter(isFailing).slice(0, TESTS_MAX).map(failedTest),
    flaky: tests.filter(isFlaky).slice(0, TESTS_MAX).map(flakyTest),
    slowest: slowestTests(tests, SLOWEST).map(identityOf),
    lost: lost.slice(0, LOST_MAX),
    itemTimesMs,
    startMs: startsMs.length === 0 ? undefined : Math.min(...startsMs),
    report: await writeTo(target, writeReport(merged, name)),
  };
}

/** What commands took besides their tests; of those whose tests took any time. */
function startsOf(runs: readonly ReportedRun[], wallTimesMs: readonly number[]): number[] {
  return runs.flatMap(({ tests }, index) => {
    const wallTimeMs = wallTimesMs[index];
    const testsMs = tests.reduce((sum, { timeMs }) => sum + timeMs, 0);
    // Tests that run beside each other take longer, together, than their command.
    return wallTimeMs === undefined || testsMs === 0 ? [] : [Math.max(0, wallTimeMs - testsMs)];
  });
}

function identityOf({ id, suite, classname, name, file, timeMs, shard }: MergedTest): SlowTest {
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

function shorten(text: string, characters: number): string {
  return text.length <= characters ? text : `${text.slice(0, characters).toWellFormed()}…`;
}

async function writeTo(target: string, texts: Iterable<string>): Promise<MergedSuite["report"]> {
  const hash = createHash("sha256");
  let bytes = 0;
  async function* pieces(): AsyncGenerator<Buffer, void, void> {
    for (const text of texts) {
      const piece = Buffer.from(text);
      bytes += piece.length;
      hash.update(piece);
      yield piece;
    }
  }
  await pipeline(pieces(), createWriteStream(target, { mode: 0o600 }));
  return { bytes, sha256: hash.digest("hex") };
}
