/** What a command has reported: read, written down for whoever merges, and looked at for what is to be run again. */
import type { TestCounts } from "../../../../shared/shard-result.ts";
import type { OutputFile } from "../../../container/spec.ts";
import { countTests, mergeReports, type ReportedRun } from "../report/merge-reports.ts";
import { isFailing } from "../report/test-case.ts";
import type { Tell } from "./answer-tasks.ts";
import type { ProcessLimitError } from "./process-pool.ts";
import { readRecords, writeRecord } from "./record.ts";
import { bytesOf, removeReports, type ReportRoom, readReports } from "./read-reports.ts";

export interface RunTask {
  /** The files that patterns of reports match. Those on disk are removed. */
  readonly files: readonly OutputFile[];
  readonly patterns: readonly string[];
  readonly room: ReportRoom;
  /** From 0. */
  readonly shard: number;
  /** 0 for the first time, then one more for each retry. */
  readonly round: number;
  readonly items: readonly string[];
  /** How the command ended. */
  readonly ending: string;
  /** What earlier rounds of the same items came to; without any, all are lost. */
  readonly before: TestCounts;
  /** Where earlier rounds of the same items are written down. */
  readonly earlier: readonly string[];
  /** Where this one is to be. */
  readonly target: string;
}

export interface RunReading {
  /** What is wrong with the reports; null where all could be read. */
  readonly fault: string | null;
  /** What of the room they took. */
  readonly used: ReportRoom;
  readonly tests: number;
  /** Whether one of these tests failed. */
  readonly hasFailure: boolean;
  /** Of all rounds together. */
  readonly merged: TestCounts;
  /** Items that are to be run again, if there is another round. */
  readonly repeat: readonly string[];
}

/** @param tell is told which report is being read */
export async function readRun(task: RunTask, tell: Tell): Promise<RunReading> {
  const { files, patterns, room, shard, round, items, ending, earlier, target } = task;
  const { suites, tests, fault, used } = await readReports(files, patterns, room, tell);
  tell(nameOf(task));
  const run: ReportedRun = { shard, round, items, ending, fault, suites, tests };
  await writeRecord(target, run);
  const merged = mergeReports([...(await readRecords(earlier)), run]);
  return {
    fault,
    used,
    tests: tests.length,
    hasFailure: tests.some(isFailing),
    merged: { ...countTests(merged.tests), lost: merged.lost.length },
    repeat: itemsToRepeat(run, fault, merged),
  };
}

/** What is left to say of reports that took too much to be read: nothing in them counts, and that is why. */
export async function giveUpReading(task: RunTask, { message, at }: ProcessLimitError): Promise<RunReading> {
  const { files, room, shard, round, items, ending, before, target } = task;
  const wayOut = "have tests print less, or run fewer of them by one command";
  const fault = `${at ?? nameOf(task)}: reading it ${message}: ${wayOut}`;
  await writeRecord(target, { shard, round, items, ending, fault, suites: [], tests: [] });
  await removeReports(files);
  return {
    fault,
    used: { bytes: Math.min(room.bytes, bytesOf(files)), tests: 0 },
    tests: 0,
    hasFailure: false,
    merged: before,
    repeat: items,
  };
}

/** What all reports of a command are called. */
function nameOf({ patterns }: RunTask): string {
  return patterns.join(", ");
}

/**
 * Items of which a test has failed, or that are missing. Where it cannot be told which items those are, it is all of the
 * last command: one with a broken report, or with a failure that belongs to none.
 */
function itemsToRepeat(
  { items }: ReportedRun,
  fault: string | null,
  { tests, lost }: ReturnType<typeof mergeReports>,
): readonly string[] {
  const failing = tests.filter(isFailing);
  if (fault !== null || failing.some((test) => test.items.length === 0)) return items;
  const repeated = new Set([...lost, ...failing.flatMap((test) => test.items)]);
  return items.filter((item) => repeated.has(item));
}
