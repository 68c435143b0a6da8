/** The reports of one command: found among the files that its container returned, and read. */
import { createReadStream } from "node:fs";
import { rm } from "node:fs/promises";
import type { OutputFile } from "../../container/spec.ts";
import { parseReport, reportBounds } from "./report/parse-report.ts";
import { isFailing, type TestCase } from "./report/test-case.ts";

/** What one shard may report altogether, in bytes: all of it is in memory when it is merged. */
export const REPORT_BYTES = 64 * 1024 * 1024;

/** What reports say. */
export interface ReadReports {
  readonly tests: readonly TestCase[];
  /** What is wrong with them; null where all could be read. */
  readonly fault: string | null;
  readonly bytes: number;
}

/**
 * Reads the files that are reports.
 * @param files those that patterns of reports match; what is on disk is removed
 * @param bytesLeft what may be read
 */
export async function readReports(
  files: readonly OutputFile[],
  patterns: readonly string[],
  bytesLeft: number,
): Promise<ReadReports> {
  const tests: TestCase[] = [];
  const faults: string[] = [];
  let bytes = 0;
  for (const file of files) {
    if ("error" in file) {
      faults.push(`${file.path}: ${file.error}`);
      continue;
    }
    const size = "file" in file ? file.bytes : file.content.byteLength;
    bytes += size;
    if (bytes > bytesLeft) {
      faults.push(`${file.path}: the shard's reports are larger than ${REPORT_BYTES} bytes`);
      break;
    }
    const source = "file" in file ? createReadStream(file.file) : [file.content];
    const report = await parseReport(source, reportBounds);
    for (const test of report.tests) tests.push(withoutNoise(test));
    if (report.fault !== null) faults.push(`${file.path}: ${report.fault}`);
  }
  for (const file of files) if ("file" in file) await rm(file.file, { force: true });
  if (files.length === 0) faults.push(`there is no report at ${patterns.join(", ")}`);
  return { tests, fault: faults.length === 0 ? null : faults.join("; "), bytes };
}

/** What a test printed that passed, nobody reads, and it may be most of a report. */
function withoutNoise(test: TestCase): TestCase {
  return isFailing(test) ? test : { ...test, systemOut: "", systemErr: "" };
}
