import { expect, test } from "vitest";
import { quantile, summarize } from "../../bench/statistics.ts";

test("the median of an even number of samples lies between the two in the middle", () => {
  expect(quantile([1, 2, 4, 8], 0.5)).toBe(3);
});

test("samples are summed up whatever their order", () => {
  const samples = Array.from({ length: 101 }, (_, index) => (index * 37) % 101);
  expect(summarize(samples)).toEqual({ rounds: 101, minimum: 0, median: 50, p99: 99, interquartileRange: 50 });
});

test("no samples have no statistics", () => {
  expect(() => summarize([])).toThrow(RangeError);
});
