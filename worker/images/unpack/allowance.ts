/**
 * How much may still be unpacked, by several threads together: the layers of one image, or all that comes into a store.
 * The memory is shared, and each piece is taken from it as it comes, so that none of them has to know of the others.
 */
export interface Allowance {
  /** Whose it is. */
  readonly of: "image" | "store";
  readonly left: SharedNumber;
}

/** What one layer takes. The number is shared, too: its thread may be ended in the middle, and have it given back. */
export interface Spending {
  readonly allowances: readonly Allowance[];
  /** From each of them. */
  readonly spent: SharedNumber;
}

/** One number, in bytes. */
type SharedNumber = BigInt64Array<SharedArrayBuffer>;

/** @param bytes may be less than nothing */
export function allow(of: Allowance["of"], bytes: number): Allowance {
  return { of, left: share(bytes) };
}

/** Begins to spend. */
export function spendingOf(allowances: readonly Allowance[]): Spending {
  return { allowances, spent: share(0) };
}

/** Takes some of an allowance. @returns whether there was as much; nothing is taken otherwise */
export function take({ left }: Allowance, bytes: number): boolean {
  if (Atomics.sub(left, 0, BigInt(bytes)) >= BigInt(bytes)) return true;
  Atomics.add(left, 0, BigInt(bytes));
  return false;
}

export function giveBack({ left }: Allowance, bytes: number): void {
  Atomics.add(left, 0, BigInt(bytes));
}

/** Takes from all. @returns which of them has not as much: nothing is taken then */
export function spend({ allowances, spent }: Spending, bytes: number): Allowance["of"] | undefined {
  for (const [index, allowance] of allowances.entries()) {
    if (take(allowance, bytes)) continue;
    for (const other of allowances.slice(0, index)) giveBack(other, bytes);
    return allowance.of;
  }
  Atomics.add(spent, 0, BigInt(bytes));
  return undefined;
}

/** Gives everything back that was taken. @returns how much it was */
export function giveUp({ allowances, spent }: Spending): number {
  const bytes = Number(Atomics.exchange(spent, 0, 0n));
  for (const allowance of allowances) giveBack(allowance, bytes);
  return bytes;
}

function share(value: number): SharedNumber {
  const shared = new BigInt64Array(new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT));
  shared[0] = BigInt(value);
  return shared;
}
