/** Which shard gets which items. */

/** Milliseconds that an item took before. */
export type Durations = ReadonlyMap<string, number>;

/** The first item to the first shard, the second to the second, and so on. */
export function splitRoundRobin(items: readonly string[], shards: number): string[][] {
  const parts = Array.from({ length: shards }, (): string[] => []);
  for (const [index, item] of items.entries()) parts[index % shards]?.push(item);
  return parts;
}

/**
 * The longest item first, each to the shard that has least to do (LPT, Graham 1969): the shard that takes longest takes at
 * most 4/3 − 1/(3·shards) of what it would at best. Items that nobody knows count as the median of the others. The same
 * input gives the same parts, and the items of each are in the order in which they came.
 */
export function splitByDuration(items: readonly string[], shards: number, durations: Durations): string[][] {
  const weigh = weightsOf(items, durations);
  const parts = Array.from({ length: shards }, () => ({ totalMs: 0, indices: new Array<number>() }));
  const longestFirst = items.map((item, index) => ({ index, ms: weigh(item) })).toSorted((a, b) => b.ms - a.ms);
  for (const { index, ms } of longestFirst) {
    // Of equally busy ones the one with fewer items: those that take no time are spread, too.
    const emptiest = parts.reduce((best, part) =>
      part.totalMs < best.totalMs || (part.totalMs === best.totalMs && part.indices.length < best.indices.length)
        ? part
        : best,
    );
    emptiest.totalMs += ms;
    emptiest.indices.push(index);
  }
  return parts.map(({ indices }) => indices.toSorted((a, b) => a - b).map((index) => items[index] ?? ""));
}

/** How even shards were: the time of the slowest over the mean. 1 is even; null where none took any time. */
export function evenness(durationsMs: readonly number[]): number | null {
  const total = durationsMs.reduce((sum, ms) => sum + ms, 0);
  return total === 0 ? null : Math.max(...durationsMs) / (total / durationsMs.length);
}

/** What an item counts at least, in milliseconds: many that take no time at all take some together. */
const WEIGHT_MIN = 1;

/** What each item is expected to take. Where nothing is known, all take the same. */
export function weightsOf(items: readonly string[], durations: Durations): (item: string) => number {
  const known = items.flatMap((item) => durations.get(item) ?? []).toSorted((a, b) => a - b);
  const median = medianOf(known);
  return (item) => Math.max(durations.get(item) ?? median, WEIGHT_MIN);
}

function medianOf(sorted: readonly number[]): number {
  const middle = (sorted.length - 1) / 2;
  const [low, high] = [sorted[Math.floor(middle)], sorted[Math.ceil(middle)]];
  return low === undefined || high === undefined ? WEIGHT_MIN : (low + high) / 2;
}
