/**
 * What is written down of commands, for whoever merges: a line of JSON for each, and one for each suite and test of its.
 * Lines are read one by one, since all of them together may be more than a string can be.
 */
import { createReadStream, createWriteStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import type { ReportedRun } from "../report/merge-reports.ts";
import type { SuiteFacts, TestCase } from "../report/test-case.ts";

type Line =
  | { readonly run: Omit<ReportedRun, "suites" | "tests"> }
  | { readonly suite: SuiteFacts }
  | { readonly test: TestCase };

/** Characters that are written at once. */
const PIECE_CHARACTERS = 64 * 1024;

/** Writes down one command. */
export async function writeRecord(path: string, run: ReportedRun): Promise<void> {
  await pipeline(pieces(run), createWriteStream(path, { mode: 0o600 }));
}

function* pieces({ suites, tests, ...run }: ReportedRun): Generator<string, void, void> {
  let piece = lineOf({ run });
  for (const suite of suites) piece += lineOf({ suite });
  for (const test of tests) {
    piece += lineOf({ test });
    if (piece.length < PIECE_CHARACTERS) continue;
    yield piece;
    piece = "";
  }
  yield piece;
}

function lineOf(line: Line): string {
  return `${JSON.stringify(line)}\n`;
}

/** Reads commands that have been written down, in files of any number of them. */
export async function readRecords(paths: readonly string[]): Promise<ReportedRun[]> {
  const runs: (ReportedRun & { readonly suites: SuiteFacts[]; readonly tests: TestCase[] })[] = [];
  for (const path of paths) {
    for await (const text of linesOf(path)) {
      const line = JSON.parse(text) as Line;
      if ("run" in line) runs.push({ ...line.run, suites: [], tests: [] });
      else if ("suite" in line) runs.at(-1)?.suites.push(line.suite);
      else runs.at(-1)?.tests.push(line.test);
    }
  }
  return runs;
}

/** Not those of `readline`, to which U+2028 is an end, too. */
async function* linesOf(path: string): AsyncGenerator<string, void, void> {
  let rest = "";
  for await (const piece of createReadStream(path, { encoding: "utf8" })) {
    const lines = (rest + String(piece)).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}
