/** What tests say of themselves: lists of items, and reports. */
import * as fc from "fast-check";
import { fitCommands } from "../../../worker/jobs/shard/command.ts";
import { readItems } from "../../../worker/jobs/shard/discover.ts";
import { mergeSuites } from "../../../worker/jobs/shard/report/merge-suites.ts";
import { parseReport } from "../../../worker/jobs/shard/report/parse-report.ts";
import { spellingsOf } from "../../../worker/jobs/shard/report/test-name.ts";
import { writeReport } from "../../../worker/jobs/shard/report/write-report.ts";
import { defineTarget } from "../target.ts";
import { hostileText } from "../values.ts";

const BOUNDS = {
  bytes: 20_000,
  tests: 20,
  characters: 5000,
  depth: 6,
  attributes: 4,
  failures: 3,
  properties: 3,
  textCharacters: 100,
  nameCharacters: 50,
};

const markup = fc.constantFrom(
  ...[
    "<testsuites>",
    "<testsuite>",
    '<testsuite name="a" file="b.py" timestamp="now" hostname="h">',
    "<properties>",
    "</properties>",
    '<property name="p" value="v"/>',
    '<testcase name="n" classname="c" time="1e9">',
  ],
  ...[
    '<testcase name="&lt;&#0;&x;" line="-1" time="-1,000.5">',
    "<failure>",
    '<failure message="m" type="t">',
    "<error>",
  ],
  ...[
    "<skipped/>",
    "<rerunFailure>",
    "<flakyError>",
    "<system-out>",
    "</system-out>",
    "</failure>",
    "</error>",
    "</testcase>",
  ],
  ...["</testsuite>", "</testsuites>", "<![CDATA[", "]]>", "<!--", "-->", "<?xml version='1.0' encoding='utf-16'?>"],
  ...[
    '<!DOCTYPE a [<!ENTITY x "y"><!ENTITY z SYSTEM "file:///etc/passwd">]>',
    "&x;",
    "&z;",
    "&#xd800;",
    "&amp;",
    "<a:b/>",
  ],
);

export const testReports = defineTarget({
  name: "reports of tests",
  runs: 10_000,
  values: fc.record({
    parts: fc.array(fc.oneof({ weight: 3, arbitrary: markup }, { weight: 1, arbitrary: hostileText }), {
      maxLength: 40,
    }),
    begin: fc.constantFrom("", "<testsuites>", '<testsuite name="s">'),
    cut: fc.nat(200),
  }),
  open:
    () =>
    async ({ parts, begin, cut }) => {
      const document = Buffer.from(begin + parts.join(""));
      const report = await parseReport([document], BOUNDS);
      const inPieces = await parseReport([document.subarray(0, cut), document.subarray(cut)], BOUNDS);
      // How a fault is told may depend on where the document was cut, not what was read before it.
      const isSame = JSON.stringify(inPieces.tests) === JSON.stringify(report.tests);
      if (!isSame && report.fault === null) throw new Error("in pieces it is another report");
      const kept = JSON.stringify(report.tests);
      if (kept.includes("root:")) throw new Error("an entity was read from a file");
      if (report.tests.length > BOUNDS.tests || kept.length > 6 * BOUNDS.characters + 400 * BOUNDS.tests) {
        throw new Error(`${report.tests.length} tests of ${kept.length} characters are kept`);
      }
      const written = Buffer.from(
        [...writeReport({ tests: report.tests, suites: mergeSuites(report.suites) }, "all")].join(""),
      );
      const again = await parseReport([written]);
      if (again.fault !== null || again.tests.length !== report.tests.length) {
        throw new Error(`what is written of it cannot be read: ${again.fault ?? again.tests.length}`);
      }
    },
});

export const itemLists = defineTarget({
  name: "items of test suites",
  runs: 10_000,
  values: fc.array(hostileText, { maxLength: 20 }),
  open: () => (lines) => {
    const { items } = readItems(lines.join("\n"));
    for (const item of items) {
      spellingsOf(item);
      if (item.includes("\n") || item.trim() !== item || item === "")
        throw new Error(`${JSON.stringify(item)} is no item`);
    }
    const fitted = fitCommands(["run", "{items}"], items).flat();
    if (JSON.stringify(fitted) !== JSON.stringify(items)) throw new Error("commands run other items");
  },
});
