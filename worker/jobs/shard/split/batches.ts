/**
 * Batches for shards that take the next one as soon as they are done with one.
 *
 * By factoring (Hummel, Schonberg, Flynn: Factoring, a method for scheduling parallel loops, CACM 35(8), 1992), which is
 * guided self-scheduling (Polychronopoulos, Kuck, IEEE Transactions on Computers C-36(12), 1987) that leaves more for the
 * end: each round hands out half of what is left, in one batch for each shard.
 *
 *   1/2 of all ─▶ a batch each │ 1/4 ─▶ a batch each │ … │ the rest, where half of it is not worth a start ─▶ a batch each
 *
 * Items come longest first, so that what is left for the end can be dealt out evenly; and since batches get smaller, what
 * was expected wrongly, or a slow machine, is made up for in the rounds after it. Each batch costs the start of the
 * program that runs it, which is why there is a last round. Where items take exactly what they are expected to, and all
 * machines are as fast, one batch for each shard is best, which is the strategy `time`.
 */
import type { SuiteTimes } from "../../../../shared/shard-store.ts";
import { splitByDuration, weightsOf } from "./split.ts";

/** A batch takes at least as long as so many starts: a third of a shard's time is spent on them at most. */
const STARTS_MIN = 2;

/** What a start is expected to take where nobody knows, in milliseconds: that of a test runner in a scripting language. */
const START_MS = 500;

/** And a batch is at least this share of what a shard is to do: more rounds than four even nothing out. */
const SHARE_MIN = 1 / 10;

/** Batches in the order in which they are to be taken. Each item is in one of them. */
export function splitIntoBatches(items: readonly string[], shards: number, times: SuiteTimes): string[][] {
  const weigh = weightsOf(items, times.itemsMs);
  const total = (some: readonly string[]): number => some.reduce((sum, item) => sum + weigh(item), 0);
  const isKnown = items.some((item) => times.itemsMs.has(item));
  // Where all items count as much, milliseconds say nothing.
  const startsMs = isKnown ? STARTS_MIN * (times.startMs ?? START_MS) : 0;
  const least = Math.max(startsMs, (total(items) / shards) * SHARE_MIN);

  const batches: string[][] = [];
  let pending = items.toSorted((a, b) => weigh(b) - weigh(a));
  for (;;) {
    const wanted = total(pending) / shards / 2;
    if (wanted < least || pending.length <= shards) break;
    for (let shard = 0; shard < shards && pending.length > 0; shard++) {
      // One is left for every shard that has none yet.
      const most = pending.length - Math.max(0, shards - batches.length - 1);
      const batch = pending.slice(0, Math.min(lengthOfBatch(pending, wanted, weigh), most));
      batches.push(batch);
      pending = pending.slice(batch.length);
    }
  }
  const last = splitByDuration(pending, shards, times.itemsMs).filter((batch) => batch.length > 0);
  return [...batches, ...last.toSorted((a, b) => total(b) - total(a))];
}

/** How many of the first items come closest to what is wanted; one at least. */
function lengthOfBatch(items: readonly string[], wanted: number, weigh: (item: string) => number): number {
  let sum = 0;
  const length = items.findIndex((item) => {
    const isEnough = sum + weigh(item) / 2 > wanted;
    sum += weigh(item);
    return isEnough;
  });
  return length < 0 ? items.length : Math.max(length, 1);
}
