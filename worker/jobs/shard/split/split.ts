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

/** Share of what is left that a shard takes at once, by guided self-scheduling (Polychronopoulos, Kuck 1987), halved. */
const SHARE_OF_REST = 1 / 2;

/** A batch is at least this share of a shard's fair part, since each has to start the program anew. */
const SHARE_MIN = 1 / 10;

/** And it takes at least as long, in milliseconds, where that is known: a test runner needs a good part of it to start. */
const BATCH_MS_MIN = 1000;

/**
 * Batches that shards take one after the other, the longest items first. A batch holds a part of what is left, so that
 * they get shorter to the end, where all shards are to be done at about the same time.
 */
export function splitIntoBatches(items: readonly string[], shards: number, durations: Durations): string[][] {
  const weigh = weightsOf(items, durations);
  const pending = items.map((item) => ({ item, ms: weigh(item) })).toSorted((a, b) => b.ms - a.ms);
  const totalMs = pending.reduce((sum, { ms }) => sum + ms, 0);
  const isKnown = items.some((item) => durations.has(item));
  const least = Math.max((totalMs / shards) * SHARE_MIN, isKnown ? BATCH_MS_MIN : 0);
  // However short it all is, every shard gets something.
  const leastMs = Math.min(least, (totalMs / shards) * SHARE_OF_REST);
  const batches: string[][] = [];
  let restMs = totalMs;
  let batch: string[] = [];
  let batchMs = 0;
  let wantedMs = 0;
  for (const { item, ms } of pending) {
    if (batch.length === 0) wantedMs = Math.max((restMs / shards) * SHARE_OF_REST, leastMs);
    batch.push(item);
    batchMs += ms;
    restMs -= ms;
    if (batchMs < wantedMs) continue;
    batches.push(batch);
    [batch, batchMs] = [[], 0];
  }
  if (batch.length > 0) batches.push(batch);
  return batches;
}

/** How even shards were: the time of the slowest over the mean. 1 is even; null where none took any time. */
export function evenness(durationsMs: readonly number[]): number | null {
  const total = durationsMs.reduce((sum, ms) => sum + ms, 0);
  return total === 0 ? null : Math.max(...durationsMs) / (total / durationsMs.length);
}

/** What an item counts at least, in milliseconds: many that take no time at all take some together. */
const WEIGHT_MIN = 1;

/** What each item is expected to take. Where nothing is known, all take the same. */
function weightsOf(items: readonly string[], durations: Durations): (item: string) => number {
  const known = items.flatMap((item) => durations.get(item) ?? []).toSorted((a, b) => a - b);
  const median = medianOf(known);
  return (item) => Math.max(durations.get(item) ?? median, WEIGHT_MIN);
}

function medianOf(sorted: readonly number[]): number {
  const middle = (sorted.length - 1) / 2;
  const [low, high] = [sorted[Math.floor(middle)], sorted[Math.ceil(middle)]];
  return low === undefined || high === undefined ? WEIGHT_MIN : (low + high) / 2;
}
