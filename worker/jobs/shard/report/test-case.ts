/** What a report says of a test, whichever program wrote it. */

/** `failed`: an assertion did not hold; `errored`: the test could not be carried out, e.g. its set-up failed. */
export const testOutcomes = ["passed", "failed", "errored", "skipped"] as const;
export type TestOutcome = (typeof testOutcomes)[number];

/** Why a test did not pass once. */
export interface Failure {
  readonly outcome: "failed" | "errored";
  /** Class of the exception or the like; may be empty. */
  readonly type: string;
  /** What was wrong, in short; may be empty. */
  readonly message: string;
  /** The whole of it, e.g. with a stack trace; cut in its middle where it is long. */
  readonly details: string;
}

/** What a suite or a test says of itself beyond what reports have in common, e.g. by pytest's `record_property`. */
export interface Property {
  readonly name: string;
  readonly value: string;
}

/** What a report says of a suite, besides its tests. */
export interface SuiteFacts {
  /** As its tests have it. */
  readonly name: string;
  /** When it began, as the report has it: ISO 8601, mostly. */
  readonly timestamp: string | null;
  /** Of the machine that ran it. */
  readonly hostname: string | null;
  readonly properties: readonly Property[];
}

export interface TestCase {
  /** Names of the suites around it, joined by ` > `. */
  readonly suite: string;
  /** What most dialects have the class, module or file in; may be empty. */
  readonly classname: string;
  readonly name: string;
  /** Source file, as the report has it. */
  readonly file: string | null;
  /** In that file, from 1. */
  readonly line: number | null;
  /** In milliseconds. */
  readonly timeMs: number;
  readonly outcome: TestOutcome;
  /** The last failure of a test that did not pass. */
  readonly failure: Failure | null;
  /** Failures before the one above, or before the test passed after all, oldest first. */
  readonly earlierFailures: readonly Failure[];
  /** Why it was skipped; else empty. */
  readonly skipReason: string;
  /** What it printed, cut in the middle where it is long. */
  readonly systemOut: string;
  readonly systemErr: string;
  readonly properties: readonly Property[];
}

/** Whether a test failed, and then passed without having been changed. */
export function isFlaky({ outcome, earlierFailures }: Pick<TestCase, "outcome" | "earlierFailures">): boolean {
  return outcome === "passed" && earlierFailures.length > 0;
}

/** Whether a test counts against its suite. */
export function isFailing({ outcome }: Pick<TestCase, "outcome">): boolean {
  return outcome === "failed" || outcome === "errored";
}
