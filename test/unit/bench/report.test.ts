import { expect, test } from "vitest";
import { type Report, tabulateStatistics, toJson, toMarkdown } from "../../bench/report.ts";
import { summarize } from "../../bench/statistics.ts";

const report: Report = {
  program: "sample",
  title: "A sample",
  startedAt: "2026-01-01T00:00:00.000Z",
  rounds: 3,
  warmUp: 1,
  machine: { kernel: "6.1" },
  tables: [tabulateStatistics("Milliseconds", "candidate", new Map([["one", summarize([1, 2, 3])]]), 1)],
  notes: ["one: is one."],
  data: { samples: [1, 2, 3] },
};

test("tables are Markdown with aligned columns", () => {
  expect(toMarkdown(report)).toContain(
    [
      "| candidate | rounds | median | p99 | min | spread |",
      "| --------- | -----: | -----: | --: | --: | -----: |",
      "| one       |      3 |    2.0 | 3.0 | 1.0 |    1.0 |",
    ].join("\n"),
  );
});

test("the machine and the notes are part of the report", () => {
  expect(toMarkdown(report)).toMatch(/- kernel: 6\.1\n[^]*- one: is one\.\n$/);
});

test("JSON has every sample", () => {
  expect(JSON.parse(toJson(report))).toMatchObject({ program: "sample", rounds: 3, samples: [1, 2, 3] });
});
