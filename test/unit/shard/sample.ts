import type { Failure, TestCase } from "../../../worker/jobs/shard/report/test-case.ts";
import { parseReport, type ParsedReport } from "../../../worker/jobs/shard/report/parse-report.ts";

/** A test that passed, as pytest reports it, with something else about it. */
export function makeTest(parts: Partial<TestCase> = {}): TestCase {
  return {
    suite: "pytest",
    classname: "tests.test_a",
    name: "test_x",
    file: null,
    line: null,
    timeMs: 1,
    outcome: "passed",
    failure: null,
    earlierFailures: [],
    skipReason: "",
    systemOut: "",
    systemErr: "",
    properties: [],
    ...parts,
  };
}

export function makeFailure(parts: Partial<Failure> = {}): Failure {
  return { outcome: "failed", type: "", message: "assert 1 == 2", details: "", ...parts };
}

/** A test that failed. */
export function makeFailed(parts: Partial<TestCase> = {}, failure: Partial<Failure> = {}): TestCase {
  const made = makeFailure(failure);
  return makeTest({ outcome: made.outcome, failure: made, ...parts });
}

/** Reads a report that is a string. */
export function parse(xml: string): Promise<ParsedReport> {
  return parseReport([Buffer.from(xml)]);
}
