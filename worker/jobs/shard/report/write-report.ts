import type { MergedReport } from "./merge-reports.ts";
import type { Failure, Property, TestCase } from "./test-case.ts";
import { replaceForbidden } from "./xml-characters.ts";

/**
 * Writes tests as JUnit's XML, as CI systems read it: a suite for each name, in the order of their first tests. What
 * failed before it passed, or failed again, is told as Surefire does (`flakyFailure`, `rerunFailure`), which those who
 * do not know it skip.
 *
 * Elements and attributes are those of the schema that Jenkins has (`junit-10.xsd` of its xunit plugin), and of a test
 * three more, which it does not know: `file` and `line`, by which GitLab and GitHub's actions show a failure beside its
 * source, and `properties`, as pytest writes them.
 * @yields the document in pieces: it may be larger than a string can be
 */
export function* writeReport(
  { tests, suites: facts }: { readonly tests: readonly TestCase[] } & Pick<MergedReport, "suites">,
  name: string,
): Generator<string, void, void> {
  const suites = Map.groupBy(tests, ({ suite }) => suite);
  const all = [...suites.values()].flat();
  yield '<?xml version="1.0" encoding="UTF-8"?>\n';
  const { skipped: _, ...counts } = countsOf(all);
  yield `<testsuites${attributes({ name, ...counts })}>\n`;
  for (const [suite, members] of suites) {
    const { timestamp = null, hostname = null, properties = [] } = facts.get(suite) ?? {};
    yield `  <testsuite${attributes({ name: suite, ...countsOf(members), timestamp, hostname })}>\n`;
    for (const line of writeProperties(properties)) yield `    ${line}\n`;
    for (const test of members) yield writeTest(test);
    yield "  </testsuite>\n";
  }
  yield "</testsuites>\n";
}

function countsOf(tests: readonly TestCase[]): Record<string, number | string> {
  const count = (outcome: TestCase["outcome"]): number => tests.filter((test) => test.outcome === outcome).length;
  return {
    tests: tests.length,
    failures: count("failed"),
    errors: count("errored"),
    skipped: count("skipped"),
    time: secondsOf(tests.reduce((sum, { timeMs }) => sum + timeMs, 0)),
  };
}

function writeTest(test: TestCase): string {
  const { classname, name, file, line, timeMs, systemOut, systemErr, properties } = test;
  const children = [
    ...writeProperties(properties),
    ...writeOutcome(test),
    ...(systemOut === "" ? [] : [`<system-out>${escapeText(systemOut)}</system-out>`]),
    ...(systemErr === "" ? [] : [`<system-err>${escapeText(systemErr)}</system-err>`]),
  ];
  const head = `    <testcase${attributes({ classname, name, file, line, time: secondsOf(timeMs) })}`;
  if (children.length === 0) return `${head}/>\n`;
  return [`${head}>`, ...children.map((child) => `      ${child}`), "    </testcase>\n"].join("\n");
}

function writeProperties(properties: readonly Property[]): string[] {
  if (properties.length === 0) return [];
  const each = properties.map(({ name, value }) => `  <property${attributes({ name, value })}/>`);
  return ["<properties>", ...each, "</properties>"];
}

function writeOutcome({ outcome, failure, earlierFailures, skipReason }: TestCase): string[] {
  if (failure === null) {
    const flaky = earlierFailures.map((earlier) => writeFailure(elements.flaky, earlier));
    return outcome === "skipped" ? [`<skipped${attributes({ message: skipReason || null })}/>`, ...flaky] : flaky;
  }
  // In the order in which they happened: the first is the failure, the others came when it was run again.
  return [...earlierFailures, failure].map((each, index) =>
    writeFailure(index === 0 ? elements.main : elements.rerun, each),
  );
}

const elements = {
  main: { failed: "failure", errored: "error" },
  rerun: { failed: "rerunFailure", errored: "rerunError" },
  flaky: { failed: "flakyFailure", errored: "flakyError" },
} as const;

function writeFailure(names: (typeof elements)[keyof typeof elements], failure: Failure): string {
  const { outcome, message, type, details } = failure;
  return `<${names[outcome]}${attributes({ message, type })}>${escapeText(details)}</${names[outcome]}>`;
}

function attributes(values: Readonly<Record<string, string | number | null>>): string {
  return Object.entries(values)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => ` ${name}="${escapeAttribute(String(value))}"`)
    .join("");
}

/** With as many decimals as the reader keeps. */
function secondsOf(milliseconds: number): string {
  return (milliseconds / 1000).toFixed(6).replace(/0{1,3}$/, "");
}

/** `>` too: `]]>` is forbidden in text. A carriage return would be read as a new line. */
function escapeText(text: string): string {
  return replaceForbidden(text)
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll("\r", "&#13;");
}

/** White space of an attribute would be read as blanks. */
function escapeAttribute(text: string): string {
  return escapeText(text).replaceAll('"', "&quot;").replaceAll("\t", "&#9;").replaceAll("\n", "&#10;");
}
