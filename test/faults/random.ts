/**
 * Random numbers that a seed repeats: mulberry32 (Tommy Ettinger, public domain). Good enough to choose faults by, and
 * short enough to be read.
 */
export class Random {
  #state: number;

  /** @param seed a whole number; the same seed gives the same numbers on every machine */
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From `least` up to, but not including, `most`. */
  between(least: number, most: number): number {
    return least + this.#next() * (most - least);
  }

  /** A whole number from `least` to `most`, both included. */
  whole(least: number, most: number): number {
    return Math.floor(this.between(least, most + 1));
  }

  /** One of several. @throws {RangeError} when there are none */
  pick<Item>(items: readonly Item[]): Item {
    const item = items[this.whole(0, items.length - 1)];
    if (item === undefined) throw new RangeError("there is nothing to pick from");
    return item;
  }

  /** All of them, in another order. */
  shuffled<Item>(items: readonly Item[]): Item[] {
    const keyed = items.map((item) => ({ item, key: this.#next() }));
    return keyed.toSorted((a, b) => a.key - b.key).map(({ item }) => item);
  }

  #next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
}
