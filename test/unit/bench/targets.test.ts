import { expect, test } from "vitest";
import { summarize } from "../../bench/statistics.ts";
import { derive } from "../../bench/targets.ts";

function medians(values: Readonly<Record<string, number>>) {
  return new Map(Object.entries(values).map(([name, value]) => [name, summarize([value])]));
}

test("a difference at its target reaches it", () => {
  expect(derive(medians({ bare: 0.5, "container-readonly": 2 }))).toEqual([
    { name: "container-readonly − bare", value: 1.5, unit: "ms", target: "≤ 1.5 ms", verdict: "reached" },
  ]);
});

test("a ratio below its target misses it", () => {
  expect(derive(medians({ crun: 27, "container-readonly": 3 }))).toEqual([
    { name: "crun ÷ container-readonly", value: 9, unit: "×", target: "≥ 10 ×", verdict: "missed" },
  ]);
});

test("a figure of one candidate is its own, in its unit", () => {
  const formula = {
    name: "rate",
    of: ["http"],
    kind: "figure",
    unit: "jobs/s",
    target: { kind: "at least", value: 500 },
  } as const;
  expect(derive(medians({ http: 250 }), [formula])).toEqual([
    { name: "rate", value: 250, unit: "jobs/s", target: "≥ 500 jobs/s", verdict: "missed" },
  ]);
});

test("a difference may be one of the slowest", () => {
  const statistics = new Map([
    ["http", summarize([5, 5, 5, 25])],
    ["bare", summarize([1, 1, 1, 1])],
  ]);
  const formula = { name: "p99", of: ["http", "bare"], kind: "difference", at: "p99" } as const;
  expect(derive(statistics, [formula])).toEqual([
    { name: "p99", value: expect.closeTo(23.4), unit: "ms", target: "", verdict: "" },
  ]);
});

test("what was not measured yields no figure", () => {
  expect(derive(medians({ http: 8 }))).toEqual([]);
});
