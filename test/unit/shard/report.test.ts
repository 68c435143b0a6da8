import { Readable } from "node:stream";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseReport, reportBounds } from "../../../worker/jobs/shard/report/parse-report.ts";
import type { TestCase } from "../../../worker/jobs/shard/report/test-case.ts";
import { writeReport } from "../../../worker/jobs/shard/report/write-report.ts";
import { makeFailed, makeFailure, makeTest, parse } from "./sample.ts";

describe("a report is read", () => {
  it("that pytest wrote", async () => {
    const { suites, tests, fault } = await parse(`<?xml version="1.0" encoding="utf-8"?><testsuites name="pytest tests">
      <testsuite name="pytest" errors="1" failures="1" skipped="1" tests="4" time="0.051" timestamp="2026-11-21T12:12:20.737258" hostname="vm">
        <properties><property name="arch" value="x86" /></properties>
        <testcase classname="tests.test_a.TestX" name="test_y[1-&lt;2&gt;]" time="0.001"><properties><property name="ticket" value="A-1" /></properties></testcase>
        <testcase classname="tests.test_a" name="test_z" time="0.002"><failure message="assert 1 == 2&#10;  +1">def test_z():
&gt;       assert 1 == 2</failure><system-out>printed</system-out><system-err>warned</system-err></testcase>
        <testcase classname="tests.test_a" name="test_s" time="0.000"><skipped type="pytest.skip" message="no reason">/work/a.py:3: no reason</skipped></testcase>
        <testcase classname="" name="tests.test_b" time="0.000"><error message="collection failure">ImportError</error></testcase>
      </testsuite></testsuites>`);
    expect(fault).toBeNull();
    expect(tests).toEqual([
      makeTest({
        classname: "tests.test_a.TestX",
        name: "test_y[1-<2>]",
        timeMs: 1,
        properties: [{ name: "ticket", value: "A-1" }],
      }),
      makeFailed(
        { name: "test_z", timeMs: 2, systemOut: "printed", systemErr: "warned" },
        { message: "assert 1 == 2\n  +1", details: "def test_z():\n>       assert 1 == 2" },
      ),
      makeTest({ name: "test_s", timeMs: 0, outcome: "skipped", skipReason: "no reason" }),
      makeFailed(
        { classname: "", name: "tests.test_b", timeMs: 0 },
        { outcome: "errored", message: "collection failure", details: "ImportError" },
      ),
    ]);
    const properties = [{ name: "arch", value: "x86" }];
    expect(suites).toEqual([{ name: "pytest", timestamp: "2026-11-21T12:12:20.737258", hostname: "vm", properties }]);
  });

  it("that node:test wrote, with suites in suites", async () => {
    const { suites, tests } =
      await parse(`<testsuites><testsuite name="numbers" hostname="vm"><properties><property name="a" value="1"/></properties>
      <testsuite name="odd" timestamp="2026-11-21T12:00:00Z"><properties><property name="b"/></properties>
      <testcase name="adds" time="0.0012345" classname="test" file="/work/a.test.js"/></testsuite></testsuite></testsuites>`);
    expect(tests).toMatchObject([{ suite: "numbers > odd", file: "/work/a.test.js", timeMs: 1.235 }]);
    const properties = [
      { name: "a", value: "1" },
      { name: "b", value: "" },
    ];
    expect(suites).toEqual([{ name: "numbers > odd", timestamp: "2026-11-21T12:00:00Z", hostname: "vm", properties }]);
  });

  it("that GoogleTest wrote, with an element for each assertion", async () => {
    const { tests } = await parse(`<testsuites><testsuite name="FooTest">
      <testcase name="DoesX" file="foo.cc" line="12" status="run" result="completed" time="0.5" classname="FooTest">
        <failure message="one" type=""><![CDATA[foo.cc:13 ]]></failure><failure message="two" type=""><![CDATA[foo.cc:14]]></failure>
      </testcase>
      <testcase name="DISABLED_Y" status="notrun" result="suppressed" time="0." classname="FooTest"/>
    </testsuite></testsuites>`);
    expect(tests).toMatchObject([
      {
        file: "foo.cc",
        line: 12,
        timeMs: 500,
        outcome: "failed",
        failure: { message: "one", details: "foo.cc:13\n\nfoo.cc:14" },
      },
      { outcome: "skipped" },
    ]);
  });

  it("that Surefire wrote, with what it ran again", async () => {
    const { tests } = await parse(`<testsuite name="org.example.FooTest" time="1,234.5">
      <testcase classname="org.example.FooTest" name="flaky" time="1,234.5"><flakyFailure message="m1" type="E">
          <stackTrace><![CDATA[at line 1]]></stackTrace><system-out>not of this run</system-out></flakyFailure></testcase>
      <testcase classname="org.example.FooTest" name="bad" time="0.1"><failure message="m1" type="E">t1</failure>
          <rerunError message="m2" type="F"><stackTrace>t2</stackTrace></rerunError></testcase></testsuite>`);
    expect(tests).toMatchObject([
      {
        outcome: "passed",
        timeMs: 1_234_500,
        systemOut: "",
        earlierFailures: [{ message: "m1", type: "E", details: "at line 1" }],
      },
      {
        outcome: "errored",
        failure: { message: "m2", details: "t2" },
        earlierFailures: [{ message: "m1", details: "t1" }],
      },
    ]);
  });

  it("that jest-junit or PHPUnit wrote, which have the file at the suite, or the class under another name", async () => {
    const { tests } = await parse(`<testsuites><testsuite name="sum" file="src/a.test.js">
      <testcase classname="sum adds" name="sum adds" time="0.003"/><testcase class="Tests\\FooTest" name="bar" line="no"/>
      </testsuite></testsuites>`);
    expect(tests).toMatchObject([
      { file: "src/a.test.js", classname: "sum adds" },
      { classname: "Tests\\FooTest", line: null },
    ]);
  });

  it("in any pieces", async () => {
    const bytes = Buffer.from(`<testsuite name="größe"><testcase name="&lt;ä&gt;"/></testsuite>`);
    const { tests } = await parseReport(Readable.from([...bytes].map((byte) => Buffer.of(byte))));
    expect(tests).toMatchObject([{ suite: "größe", name: "<ä>" }]);
  });

  it("in the encoding that it declares", async () => {
    const xml = `<?xml version="1.0" encoding="iso-8859-1"?><testsuite name="größe"><testcase name="ä"/></testsuite>`;
    const { tests } = await parseReport([Buffer.from(xml, "latin1")]);
    expect(tests).toMatchObject([{ suite: "größe", name: "ä" }]);
  });

  it("with characters that XML has not", async () => {
    const { tests, fault } = await parse(
      `<testsuite name="s"><testcase name="a"><system-out>\u001B[31mred\u0000</system-out></testcase></testsuite>`,
    );
    expect([fault, tests[0]?.systemOut]).toEqual([null, "\uFFFD[31mred\uFFFD"]);
  });
});

describe("a report is read as far as it goes", () => {
  const begin = `<testsuites><testsuite name="pytest"><testcase name="a" time="1"/>`;

  it.each([
    ["that ends in the middle", `${begin}<testcase name="b"><failure>`, /not valid xml: .*unclosed tag/],
    ["that is not well-formed", `${begin}</testsuites>`, /not valid xml/],
    [
      "with an entity that it declares",
      `<!DOCTYPE x [<!ENTITY a "b">]>${begin}<testcase name="&a;"/></testsuite></testsuites>`,
      /entity/,
    ],
    [
      "with an entity that is a file",
      `<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>${begin}<testcase><failure>&a;</failure></testcase>`,
      /entity/,
    ],
    ["that is too deep", `${begin}${"<testsuite>".repeat(100)}`, /more than 32 elements in one another/],
    ["with two documents", `${begin}</testsuite></testsuites><testsuites/>`, /not valid xml/],
  ])("%s", async (_, xml, message) => {
    const { tests, fault } = await parse(xml);
    expect(fault).toMatch(message);
    expect(tests.map(({ name }) => name)).toEqual(["a"]);
  });

  it.each([
    ["is empty", "", "the report is empty"],
    ["is something else", "<html></html>", "the report is no junit xml: it begins with <html>"],
    ["is no XML", "no tests ran", "the report is not valid xml"],
    [
      "is in an encoding of its own",
      `<?xml version="1.0" encoding="klingon"?><testsuite/>`,
      "the encoding klingon of the report is not known",
    ],
  ])("and says so where it %s", async (_, xml, message) => {
    const { tests, fault } = await parse(xml);
    expect(tests).toEqual([]);
    expect(fault).toContain(message);
  });

  it("within its bounds", async () => {
    const many = `<testsuite name="s">${`<testcase name="a"/>`.repeat(10)}</testsuite>`;
    const tests = await parseReport([Buffer.from(many)], { ...reportBounds, tests: 3 });
    expect([tests.tests.length, tests.fault]).toEqual([3, "the report has more than 3 tests"]);
    const bytes = await parseReport([Buffer.from(many)], { ...reportBounds, bytes: 100 });
    expect(bytes.fault).toBe("the report is larger than 100 bytes");
  });

  it("though a short document has long names for many tests", async () => {
    const suite = `<testsuite name="${"s".repeat(1000)}">${"<testcase/>".repeat(1000)}</testsuite>`;
    const { tests, fault, characters } = await parseReport([Buffer.from(suite)], {
      ...reportBounds,
      characters: 10_639,
    });
    expect(fault).toBe("the tests of the report have more than 10639 characters");
    expect(tests).toHaveLength(9);
    expect(characters).toBe(10_640);
  });

  it("though it has many elements, and nothing in them", async () => {
    const failures = "<failure/>".repeat(100);
    const test = `<testcase>${failures}<properties>${"<property/>".repeat(100)}</properties></testcase>`;
    const bounds = { ...reportBounds, characters: 64 * 1024 };
    const { tests, fault } = await parseReport([Buffer.from(`<testsuite>${test.repeat(100)}</testsuite>`)], bounds);
    expect([tests.length, fault]).toEqual([9, "the tests of the report have more than 65536 characters"]);
  });

  it("though a test has failures and properties without number, and an element attributes", async () => {
    const failures = `<failure/><rerunError/>`.repeat(1000);
    const properties = `<properties>${"<property/>".repeat(1000)}</properties>`;
    const { suites, tests } = await parse(
      `<testsuite>${properties}<testcase name="a">${properties}${failures}</testcase></testsuite>`,
    );
    expect(tests[0]?.earlierFailures).toHaveLength(reportBounds.failures);
    expect(tests[0]?.properties).toHaveLength(reportBounds.properties);
    expect(suites[0]?.properties).toHaveLength(reportBounds.properties);
    const attributes = Array.from({ length: 1000 }, (_, index) => `a${index}=""`).join(" ");
    const read = await parse(`<testsuite><testcase name="b"/><testcase ${attributes}/></testsuite>`);
    expect(read.fault).toBe("an element of the report has more than 256 attributes");
    expect(read.tests.map(({ name }) => name)).toEqual(["b"]);
  });

  it("with times that can be added up, whatever it says", async () => {
    const times = ["1e308", "Infinity", "-1", "NaN", "1e303"].map((time) => `<testcase time="${time}"/>`);
    const { tests } = await parse(`<testsuite>${times.join("")}</testsuite>`);
    expect(tests.map(({ timeMs }) => timeMs)).toEqual([1e9, 0, 0, 0, 1e9]);
  });

  it("keeping the beginning and the end of long texts, without holding the rest", async () => {
    function* source() {
      yield Buffer.from(`<testsuite name="s"><testcase name="${"n".repeat(10_000)}"><failure message="m">begin`);
      for (let piece = 0; piece < 200; piece++) yield Buffer.from(`<![CDATA[${"x".repeat(50_000)}]]>`);
      yield Buffer.from(`end</failure></testcase></testsuite>`);
    }
    const { tests, fault } = await parseReport(source());
    expect(fault).toBeNull();
    const details = tests[0]?.failure?.details ?? "";
    expect(details).toMatch(/^beginx+\n… \d+ characters are left out …\nx+end$/);
    expect(details.length).toBeLessThanOrEqual(reportBounds.textCharacters);
    expect(tests[0]?.name).toHaveLength(reportBounds.nameCharacters);
  });

  it("letting others have their turn", async () => {
    let turns = 0;
    const timer = setInterval(() => turns++, 0);
    const large = Buffer.from(`<testsuite name="s">${`<testcase name="a"/>`.repeat(120_000)}`);
    await parseReport([large], { ...reportBounds, tests: 1_000_000 });
    clearInterval(timer);
    expect(turns).toBeGreaterThan(0);
  });
});

describe("a report that was written", () => {
  const text = fc.string({ unit: "binary", maxLength: 40 }).map(clean);
  const property = fc.record({ name: text, value: text });
  const failure = fc.record({
    outcome: fc.constantFrom("failed" as const, "errored" as const),
    type: text,
    message: text,
    details: text,
  });
  const common = fc.record({
    suite: fc.constantFrom("", "pytest", 'a "suite" > another'),
    classname: text,
    name: text,
    file: fc.option(text.filter((file) => file !== "")),
    line: fc.option(fc.nat(999_999_999)),
    timeMs: fc.nat(10_000_000_000).map((microseconds) => microseconds / 1000),
    earlierFailures: fc.array(failure, { maxLength: 3 }),
    systemOut: text,
    systemErr: text,
    properties: fc.array(property, { maxLength: 3 }),
  });
  const outcome = fc.oneof(
    fc.record({ outcome: fc.constant("passed" as const), failure: fc.constant(null), skipReason: fc.constant("") }),
    fc.record({ outcome: fc.constant("skipped" as const), failure: fc.constant(null), skipReason: text }),
    failure.map((made) => ({ outcome: made.outcome, failure: made, skipReason: "" })),
  );
  const test = fc.tuple(common, outcome).map(([parts, ended]): TestCase => Object.assign({}, parts, ended));

  it("reads as what was written", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(test, { maxLength: 5 }), async (tests) => {
        const { tests: read, fault } = await parse([...writeReport({ tests, suites: new Map() }, "a job")].join(""));
        expect(fault).toBeNull();
        const bySuite = [...Map.groupBy(tests, ({ suite }) => suite).values()].flat();
        expect(read).toEqual(bySuite);
      }),
    );
  });

  it("has what CI systems look for", () => {
    const tests = [
      makeTest({
        timeMs: 1.5,
        earlierFailures: [makeFailure({ message: "once" })],
        properties: [{ name: "ticket", value: "A-1" }],
      }),
      makeFailed(
        { name: "bad", file: "tests/test_a.py", line: 3 },
        { type: "AssertionError", details: "a < b ]]> \u0007" },
      ),
    ];
    const facts = {
      name: "pytest",
      timestamp: "2026-11-21T12:12:20.737258+00:00",
      hostname: "vm",
      properties: [{ name: "arch", value: '"x86"' }],
    };
    const xml = [...writeReport({ tests, suites: new Map([["pytest", facts]]) }, "suite")].join("");
    expect(xml).toBe(`<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="suite" tests="2" failures="1" errors="0" time="0.0025">
  <testsuite name="pytest" tests="2" failures="1" errors="0" skipped="0" time="0.0025" timestamp="2026-11-21T12:12:20.737258+00:00" hostname="vm">
    <properties>
      <property name="arch" value="&quot;x86&quot;"/>
    </properties>
    <testcase classname="tests.test_a" name="test_x" time="0.0015">
      <properties>
        <property name="ticket" value="A-1"/>
      </properties>
      <flakyFailure message="once" type=""></flakyFailure>
    </testcase>
    <testcase classname="tests.test_a" name="bad" file="tests/test_a.py" line="3" time="0.001">
      <failure message="assert 1 == 2" type="AssertionError">a &lt; b ]]&gt; \uFFFD</failure>
    </testcase>
  </testsuite>
</testsuites>
`);
  });
});

/** What a report can have, as it is read: without white space around it. */
function clean(text: string): string {
  return text
    .toWellFormed()
    .replaceAll(/[\p{Cc}--[\t\n\r\x7F-\x9F]]|[\uFFFE\uFFFF]/gv, "?")
    .trim();
}
