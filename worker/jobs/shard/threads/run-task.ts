/** What a command has reported: read, written down for whoever merges, and looked at for what is to be run again. */
import { readFile, writeFile } from "node:fs/promises";
import type { TestCounts } from "../../../../shared/shard-result.ts";
import type { OutputFile } from "../../../container/spec.ts";
import { countTests, mergeReports, type ReportedRun } from "../report/merge-reports.ts";
import { isFailing } from "../report/test-case.ts";
import { type ReportRoom, readReports } from "./read-reports.ts";

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
  /** Where earlier rounds of the same items are written down. */
  readonly earlier: readonly string[];
  /** Where this one is to be: a line of JSON. */
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

export async function readRun(task: RunTask): Promise<RunReading> {
  const { files, patterns, room, shard, round, items, earlier, target } = task;
  const { tests, fault, used } = await readReports(files, patterns, room);
  const run: ReportedRun = { shard, round, items, tests };
  await writeFile(target, `${JSON.stringify(run)}\n`, { mode: 0o600 });
  const runs = [...(await readRuns(earlier)), run];
  const merged = mergeReports(runs);
  return {
    fault,
    used,
    tests: tests.length,
    hasFailure: tests.some(isFailing),
    merged: { ...countTests(merged.tests), lost: merged.lost.length },
    repeat: itemsToRepeat(run, fault, merged),
  };
}

/** Reads runs that have been written down, a line each. */
export async function readRuns(paths: readonly string[]): Promise<ReportedRun[]> {
  const runs: ReportedRun[] = [];
  for (const path of paths) {
    for (const line of (await readFile(path, "utf8")).split("\n")) {
      if (line !== "") runs.push(JSON.parse(line) as ReportedRun);
    }
  }
  return runs;
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
