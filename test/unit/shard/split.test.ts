import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { splitIntoBatches } from "../../../worker/jobs/shard/split/batches.ts";
import { evenness, splitByDuration, splitRoundRobin } from "../../../worker/jobs/shard/split/split.ts";

const items = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 6 }), { maxLength: 60 });
const shards = fc.integer({ min: 1, max: 12 });
/** What is known of some of the items. */
const durations = fc.array(fc.option(fc.double({ min: 0, max: 10_000, noNaN: true })), { maxLength: 60 });

function known(names: readonly string[], times: readonly (number | null)[]): Map<string, number> {
  return new Map(names.flatMap((name, index) => (typeof times[index] === "number" ? [[name, times[index]]] : [])));
}

const unknown = { itemsMs: new Map<string, number>(), startMs: undefined };

describe("every way to split", () => {
  it("gives each item to exactly one part", () => {
    fc.assert(
      fc.property(items, shards, durations, (names, count, times) => {
        const all = [
          splitRoundRobin(names, count),
          splitByDuration(names, count, known(names, times)),
          splitIntoBatches(names, count, { itemsMs: known(names, times), startMs: times[0] ?? undefined }),
        ];
        for (const parts of all) expect(parts.flat().toSorted()).toEqual(names.toSorted());
      }),
    );
  });

  it("makes as many parts as there are shards, and batches that are not empty", () => {
    fc.assert(
      fc.property(items, shards, (names, count) => {
        expect(splitRoundRobin(names, count)).toHaveLength(count);
        expect(splitByDuration(names, count, new Map())).toHaveLength(count);
        expect(splitIntoBatches(names, count, unknown)).not.toContainEqual([]);
      }),
    );
  });
});

describe("a split in turn", () => {
  it("gives the first item to the first shard, and keeps the order", () => {
    expect(splitRoundRobin(["a", "b", "c", "d", "e"], 2)).toEqual([
      ["a", "c", "e"],
      ["b", "d"],
    ]);
  });
});

describe("a split by duration", () => {
  it("puts the longest items into different shards", () => {
    const times = new Map(Object.entries({ a: 1, b: 9, c: 2, d: 8, e: 1, f: 3 }));
    expect(splitByDuration(["a", "b", "c", "d", "e", "f"], 2, times)).toEqual([
      ["a", "b", "c"],
      ["d", "e", "f"],
    ]);
  });

  it("takes the median for items that nobody knows", () => {
    const times = new Map(Object.entries({ a: 1, b: 100, c: 3 }));
    // The new one is worth 3: with b, it would be 103 against 4.
    expect(splitByDuration(["a", "b", "c", "new"], 2, times)).toEqual([["b"], ["a", "c", "new"]]);
  });

  it("spreads items evenly when nothing is known, or none takes any time", () => {
    const names = Array.from({ length: 10 }, (_, index) => `item ${index}`);
    for (const times of [new Map<string, number>(), new Map(names.map((name) => [name, 0]))]) {
      const sizes = splitByDuration(names, 4, times).map(({ length }) => length);
      expect(sizes.toSorted((a, b) => a - b)).toEqual([2, 2, 3, 3]);
    }
  });

  it("is within 4/3 of the best split there is", () => {
    const small = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(small, fc.integer({ min: 1, max: 3 }), (times, count) => {
        const names = times.map((_, index) => `item ${index}`);
        const durations = new Map(names.map((name, index) => [name, times[index] ?? 0]));
        const spans = splitByDuration(names, count, durations).map((part) =>
          part.reduce((sum, name) => sum + (durations.get(name) ?? 0), 0),
        );
        expect(Math.max(...spans)).toBeLessThanOrEqual(bestSpan(times, count) * (4 / 3 - 1 / (3 * count)) + 1e-9);
      }),
    );
  });
});

describe("evenness", () => {
  it.each([
    [[10, 10, 10], 1],
    [[30, 0, 0], 3],
    [[20, 10], 20 / 15],
    [[0, 0], null],
    [[], null],
  ])("of %j is %s", (times, expected) => {
    expect(evenness(times)).toBe(expected);
  });
});

/** The time of the slowest shard in the best of all splits. */
function bestSpan(times: readonly number[], count: number): number {
  const totals = Array.from({ length: count }, () => 0);
  const place = (index: number): number => {
    const time = times[index];
    if (time === undefined) return Math.max(...totals);
    return Math.min(
      ...totals.map((total, shard) => {
        totals[shard] = total + time;
        const span = place(index + 1);
        totals[shard] = total;
        return span;
      }),
    );
  };
  return place(0);
}
