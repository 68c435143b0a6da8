/**
 * Many reports into one. A test is run again when it failed, a shard when its worker is lost; and each test counts once.
 */
import { ItemMatcher } from "./match-items.ts";
import { mergeSuites } from "./merge-suites.ts";
import type { Failure, SuiteFacts, TestCase } from "./test-case.ts";
import { isFlaky } from "./test-case.ts";
import { testId } from "./test-name.ts";

/** What came of one execution of the command. */
export interface ReportedRun {
  /** From 0. */
  readonly shard: number;
  /** 0 for the first time, then one more for each retry. */
  readonly round: number;
  /** What it was to test. */
  readonly items: readonly string[];
  /** How it ended, e.g. `exit code 1`. */
  readonly ending: string;
  /** What is wrong with its reports; null where all could be read. */
  readonly fault: string | null;
  readonly suites: readonly SuiteFacts[];
  readonly tests: readonly TestCase[];
}

export interface MergedTest extends TestCase {
  /** The same for the same test in all reports, and for no two tests of one report. */
  readonly id: string;
  /** How often it was run, as far as can be told. */
  readonly runs: number;
  /** The shard that had it last. */
  readonly shard: number;
  /** The items that it belongs to; none when it cannot be told. */
  readonly items: readonly string[];
}

export interface MergedReport {
  /** In the order of the items' runs. */
  readonly tests: readonly MergedTest[];
  /** By name; those of which nothing is said but their tests are not there. */
  readonly suites: ReadonlyMap<string, SuiteFacts>;
  /** Items none of whose tests are in any report, in the order in which they were given to runs. */
  readonly lost: readonly string[];
  /** What each item's tests took together, in milliseconds, when they were reported first. */
  readonly itemTimesMs: ReadonlyMap<string, number>;
}

/** Merges reports, in any order. */
export function mergeReports(runs: readonly ReportedRun[]): MergedReport {
  const inOrder = runs.toSorted((a, b) => a.round - b.round || a.shard - b.shard);
  const merged = new Map<string, MergedTest>();
  const itemTimesMs = new Map<string, number>();
  const missing = new MissingItems();
  // The command that had an item first: another one may have a test of the same name, its repetitions have the same test.
  const origins = new Map<string, number>();
  for (const [index, run] of inOrder.entries()) {
    const [first = `shard ${run.shard}`] = run.items;
    const origin = origins.get(first) ?? index;
    for (const item of [first, ...run.items]) if (!origins.has(item)) origins.set(item, origin);
    const tests = identify(run).toArray();
    for (const test of tests) {
      // Names that tell nothing of where a test is, as jest-junit's, may be those of two tests in two commands.
      const key = test.items.length > 0 ? test.id : `${origin}\0${test.id}`;
      const earlier = merged.get(key);
      merged.set(key, earlier === undefined ? missing.amend(test) : mergeTries(earlier, test));
      for (const item of test.items) {
        if (!missing.isReported(item)) itemTimesMs.set(item, (itemTimesMs.get(item) ?? 0) + test.timeMs);
      }
    }
    missing.add(run, itemsOf(tests));
  }
  const lost = new Set(inOrder.flatMap(({ items }) => items)).difference(itemsOf(merged.values()));
  const suites = mergeSuites(inOrder.flatMap((run) => run.suites));
  return { tests: [...merged.values()], suites, lost: [...lost], itemTimesMs };
}

/**
 * Items that commands were to test and left out of their reports, e.g. since they crashed. What is there at last and has
 * passed is flaky: had it not been run again, it would be lost.
 */
class MissingItems {
  readonly #failures = new Map<string, readonly Failure[]>();
  readonly #reported = new Set<string>();

  isReported(item: string): boolean {
    return this.#reported.has(item);
  }

  /** Takes note of what a run has left out, unless there was a report of it before. */
  add({ items, ending }: ReportedRun, reported: ReadonlySet<string>): void {
    for (const item of reported) {
      this.#reported.add(item);
      this.#failures.delete(item);
    }
    const message = `the report of its command has nothing of it (${ending})`;
    const failure: Failure = { outcome: "errored", type: "", message, details: "" };
    for (const item of items) {
      if (!this.isReported(item)) this.#failures.set(item, [...(this.#failures.get(item) ?? []), failure]);
    }
  }

  /** A test that is reported for the first time, with the times that it should have been. */
  amend(test: MergedTest): MergedTest {
    if (test.outcome !== "passed") return test;
    const failures = test.items.map((item) => this.#failures.get(item) ?? []);
    const most = failures.reduce((a, b) => (b.length > a.length ? b : a), []);
    if (most.length === 0) return test;
    return { ...test, runs: test.runs + most.length, earlierFailures: [...most, ...test.earlierFailures] };
  }
}

/** Tests of one run with their ids: a name that comes again, in another place of the report, is another test. */
function* identify({ shard, items, tests }: ReportedRun): Generator<MergedTest, void, void> {
  const matcher = new ItemMatcher(items);
  const ids = new Map<string, number>();
  for (const test of tests) {
    const id = distinctId(testId(test), ids);
    yield { ...test, id, shard, runs: 1 + test.earlierFailures.length, items: matcher.itemsOf(test) };
  }
}

/** @param ids how often each was there; those that are given out come into it */
function distinctId(id: string, ids: Map<string, number>): string {
  let times = ids.get(id) ?? 0;
  let distinct = id;
  do {
    times++;
    distinct = times === 1 ? id : `${id} #${times}`;
  } while (times > 1 && ids.has(distinct));
  ids.set(id, times);
  if (times > 1) ids.set(distinct, 1);
  return distinct;
}

function itemsOf(tests: Iterable<MergedTest>): Set<string> {
  const items = new Set<string>();
  for (const test of tests) for (const item of test.items) items.add(item);
  return items;
}

/** A test that passed once has passed, and its failures are kept; of one that did not, the last failure counts. */
function mergeTries(earlier: MergedTest, later: MergedTest): MergedTest {
  const all = { ...later, runs: earlier.runs + later.runs };
  const failures = [...failuresOf(earlier), ...failuresOf(later)];
  const tries = [later, earlier];
  const passed = tries.find(({ outcome }) => outcome === "passed");
  if (passed !== undefined) return { ...all, ...resultOf(passed), earlierFailures: failures };
  const failed = tries.find(({ failure }) => failure !== null);
  if (failed === undefined) return all;
  return { ...all, ...resultOf(failed), earlierFailures: failures.slice(0, -1) };
}

/** What a test says of one time that it was run. */
function resultOf(test: TestCase): Partial<TestCase> {
  const { outcome, failure, skipReason, timeMs, systemOut, systemErr, properties } = test;
  return { outcome, failure, skipReason, timeMs, systemOut, systemErr, properties };
}

function failuresOf({ earlierFailures, failure }: TestCase): Failure[] {
  return failure === null ? [...earlierFailures] : [...earlierFailures, failure];
}

/** How many tests ended how. `flaky` ones have `passed`, too. */
export interface TestCounts {
  readonly tests: number;
  readonly passed: number;
  readonly failed: number;
  readonly errored: number;
  readonly skipped: number;
  readonly flaky: number;
}

export function countTests(tests: readonly TestCase[]): TestCounts {
  const counts = { tests: tests.length, passed: 0, failed: 0, errored: 0, skipped: 0, flaky: 0 };
  for (const test of tests) {
    counts[test.outcome] += 1;
    if (isFlaky(test)) counts.flaky += 1;
  }
  return counts;
}

/** The `count` tests that took longest, the slowest first; of equal ones, the one that comes first. */
export function slowestTests<Test extends TestCase>(tests: readonly Test[], count: number): Test[] {
  return tests.toSorted((a, b) => b.timeMs - a.timeMs).slice(0, count);
}
