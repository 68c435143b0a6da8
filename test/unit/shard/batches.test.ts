import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { SuiteTimes } from "../../../shared/shard-store.ts";
import { splitIntoBatches } from "../../../worker/jobs/shard/split/batches.ts";

const namesOf = (count: number): string[] => Array.from({ length: count }, (_, index) => `item ${index}`);

/** A suite whose items took so long. */
function suiteOf(itemsMs: readonly number[], startMs?: number): { names: string[]; times: SuiteTimes } {
  const names = namesOf(itemsMs.length);
  return { names, times: { itemsMs: new Map(names.map((name, index) => [name, itemsMs[index] ?? 0])), startMs } };
}

/** What each batch takes, without the start. */
function batchesMs(itemsMs: readonly number[], shards: number, startMs?: number): number[] {
  const { names, times } = suiteOf(itemsMs, startMs);
  return splitIntoBatches(names, shards, times).map((batch) =>
    batch.reduce((sum, name) => sum + (times.itemsMs.get(name) ?? 0), 0),
  );
}

/** When the last shard is done, if each takes the next batch as soon as it can. @param slowness of the first shard */
function spanOf(batches: readonly number[], shards: number, startMs: number, slowness = 1): number {
  const ends = Array.from({ length: shards }, () => 0);
  for (const ms of batches) {
    const next = ends.indexOf(Math.min(...ends));
    ends[next] = (ends[next] ?? 0) + (startMs + ms) * (next === 0 ? slowness : 1);
  }
  return Math.max(...ends);
}

describe("batches", () => {
  it("hand out half of what is left in each round, a batch for each shard, and the rest in the last one", () => {
    const unknown = { itemsMs: new Map<string, number>(), startMs: undefined };
    const sizes = splitIntoBatches(namesOf(640), 4, unknown).map(({ length }) => length);
    // The next ones would be less than a tenth of what is one shard's.
    expect(sizes).toEqual([80, 80, 80, 80, 40, 40, 40, 40, 20, 20, 20, 20, 20, 20, 20, 20]);
  });

  it("begin with the longest items, one each where it is as long as a batch", () => {
    const times = { itemsMs: new Map(Object.entries({ short: 1000, long: 90_000, middle: 5000 })), startMs: 100 };
    expect(splitIntoBatches(["short", "long", "middle"], 2, times)).toEqual([["long"], ["middle", "short"]]);
    const long = [5000, 4500, 4000, 3900];
    expect(batchesMs([...long, ...Array.from({ length: 126 }, () => 100)], 4, 100).slice(0, 4)).toEqual(long);
  });

  it("are no smaller than is worth the start of a program", () => {
    const items = Array.from({ length: 100 }, () => 200);
    expect(batchesMs(items, 2, 100)).toEqual([5000, 5000, 2600, 2600, 1200, 1200, 1200, 1200]);
    expect(batchesMs(items, 2, 1000)).toEqual([5000, 5000, 2600, 2600, 2400, 2400]);
    expect(batchesMs(items, 2, 2000)).toEqual([5000, 5000, 5000, 5000]);
    // No start but the one that each shard needs.
    expect(batchesMs(items, 2, 3000)).toEqual([10_000, 10_000]);
    // Half a second, where nobody knows.
    expect(batchesMs(items, 2)).toEqual(batchesMs(items, 2, 500));
  });

  it("give every shard something, however short it all is", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 5000 }), { minLength: 1, maxLength: 80 }),
        fc.integer({ min: 1, max: 12 }),
        fc.option(fc.integer({ min: 0, max: 10_000 }), { nil: undefined }),
        (itemsMs, shards, startMs) => {
          const { names, times } = suiteOf(itemsMs, startMs);
          const batches = splitIntoBatches(names, shards, times);
          expect(batches.length).toBeGreaterThanOrEqual(Math.min(shards, names.length));
          expect(batches.flat().toSorted()).toEqual(names.toSorted());
        },
      ),
    );
  });

  it("spend a third of the time on starts at most", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 40, maxLength: 200 }),
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 100, max: 5000 }),
        (itemsMs, shards, startMs) => {
          const batches = batchesMs(itemsMs, shards, startMs);
          const testsMs = itemsMs.reduce((sum, ms) => sum + ms, 0);
          const startsMs = (batches.length - shards) * startMs;
          expect(startsMs).toBeLessThanOrEqual(testsMs / 2 + startMs * shards);
        },
      ),
    );
  });

  it("make up for a machine that is half as fast", () => {
    const items = Array.from({ length: 400 }, (_, index) => 20 + (index % 7) * 40);
    const total = items.reduce((sum, ms) => sum + ms, 0);
    const atOnce = spanOf(
      [1, 2, 3, 4].map(() => total / 4),
      4,
      300,
      2,
    );
    // The best there is: what three and a half machines need.
    const best = total / 3.5;
    const span = spanOf(batchesMs(items, 4, 300), 4, 300, 2);
    expect(atOnce / best).toBeGreaterThan(1.7);
    expect(span / best).toBeLessThan(1.25);
  });
});
