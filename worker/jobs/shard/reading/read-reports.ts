/** The reports of one command: found among the files that its container returned, and read. */
import { createReadStream } from "node:fs";
import { rm } from "node:fs/promises";
import type { OutputFile } from "../../../container/spec.ts";
import { parseReport, reportBounds } from "../report/parse-report.ts";
import { isFailing, type SuiteFacts, type TestCase } from "../report/test-case.ts";
import type { Tell } from "./answer-tasks.ts";

/** What may be reported, all of which is in memory when it is merged. */
export interface ReportRoom {
  readonly bytes: number;
  readonly tests: number;
}

/** What one shard may report altogether. */
export const shardRoom: ReportRoom = { bytes: 64 * 1024 * 1024, tests: 200_000 };

/** What is said of a fault: paths are strangers', and may be long. */
const FAULT_CHARACTERS = 1000;

/** What reports say. */
export interface ReadReports {
  readonly suites: readonly SuiteFacts[];
  readonly tests: readonly TestCase[];
  /** What is wrong with them; null where all could be read. */
  readonly fault: string | null;
  /** What of the room they took. */
  readonly used: ReportRoom;
}

/**
 * Reads the files that are reports.
 * @param files those that patterns of reports match; what is on disk is removed
 * @param tell is told which one is being read
 */
export async function readReports(
  files: readonly OutputFile[],
  patterns: readonly string[],
  room: ReportRoom,
  tell: Tell,
): Promise<ReadReports> {
  const suites: SuiteFacts[] = [];
  const tests: TestCase[] = [];
  const faults: string[] = [];
  let bytes = 0;
  for (const file of files) {
    if ("error" in file) {
      faults.push(`${file.path}: ${file.error}`);
      continue;
    }
    tell(file.path);
    const fileBytes = bytesOf([file]);
    bytes += fileBytes;
    if (bytes > room.bytes) {
      faults.push(`${file.path}: the reports of this shard are larger than ${shardRoom.bytes} bytes`);
      break;
    }
    const source = "file" in file ? createReadStream(file.file) : [file.content];
    const testsLeft = Math.min(reportBounds.tests, room.tests - tests.length);
    const report = await parseReport(source, { ...reportBounds, tests: testsLeft });
    // What a report says once of a suite is kept for each of its tests.
    bytes += Math.max(0, report.characters - fileBytes);
    for (const suite of report.suites) suites.push(suite);
    for (const test of report.tests) tests.push(withoutNoise(test));
    if (report.fault !== null) faults.push(`${file.path}: ${report.fault}`);
  }
  await removeReports(files);
  if (files.length === 0) faults.push(`there is no report at ${patterns.join(", ")}`);
  const fault = faults.length === 0 ? null : faults.join("; ").slice(0, FAULT_CHARACTERS).toWellFormed();
  return { suites, tests, fault, used: { bytes, tests: tests.length } };
}

/** Removes what is on disk. */
export async function removeReports(files: readonly OutputFile[]): Promise<void> {
  for (const file of files) if ("file" in file) await rm(file.file, { force: true });
}

export function bytesOf(files: readonly OutputFile[]): number {
  const sizes = files.map((file) => ("file" in file ? file.bytes : "content" in file ? file.content.byteLength : 0));
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** What a test printed that passed, nobody reads, and it may be most of a report. */
function withoutNoise(test: TestCase): TestCase {
  return isFailing(test) ? test : { ...test, systemOut: "", systemErr: "" };
}
