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
  expect(derive(medians({ crun: 9, "container-writable": 3 }))).toEqual([
    { name: "crun ÷ container-writable", value: 3, unit: "×", target: "≥ 4 ×", verdict: "missed" },
  ]);
});

test("what was not measured yields no figure", () => {
  expect(derive(medians({ http: 8 }))).toEqual([]);
});
