import { type FaultKind, type PlannedFault, type Target, targets } from "./kinds/fault.ts";
import { Random } from "./random.ts";

/** A fault with its moment. */
export interface ScheduledFault extends PlannedFault {
  readonly name: string;
  readonly targets: readonly Target[];
  /** Milliseconds after the beginning. */
  readonly atMs: number;
}

/** Between one fault and the next, which is not over before that as a rule. */
const GAP_MS = { least: 500, most: 4000 } as const;

/** What is left of a fault when it is over has some time to become apparent before the same target has another one. */
const RECOVERY_MS = 2000;

/**
 * What breaks when, decided beforehand, so that a seed gives the same again. Every kind has its turn before one comes
 * again; faults of different targets overlap.
 *
 * @param durationMs no fault begins, or ends, later than that
 */
export function makeSchedule(kinds: readonly FaultKind[], seed: number, durationMs: number): ScheduledFault[] {
  const random = new Random(seed);
  const freeAtMs = new Map<Target, number>(targets.map((target) => [target, 0]));
  const scheduled: ScheduledFault[] = [];
  let turn: FaultKind[] = [];
  let nowMs = 0;
  while (nowMs < durationMs) {
    nowMs += random.whole(GAP_MS.least, GAP_MS.most);
    if (turn.length === 0) turn = random.shuffled(kinds);
    const choice = chooseNext(turn, freeAtMs, nowMs, random);
    // Where everything that could be hit is: later.
    if (choice === undefined) continue;
    const { kind, set } = choice;
    turn = turn.filter((other) => other !== kind);
    const [first] = set;
    if (first === undefined) throw new RangeError(`${kind.name} has no target`);
    const fault = kind.plan(random, first);
    const endMs = nowMs + fault.durationMs;
    if (endMs > durationMs) continue;
    for (const target of set) freeAtMs.set(target, endMs + RECOVERY_MS);
    scheduled.push({ ...fault, name: kind.name, targets: set, atMs: nowMs });
  }
  return scheduled;
}

/** The next kind whose turn it is that has something to hit. */
function chooseNext(
  turn: readonly FaultKind[],
  freeAtMs: ReadonlyMap<Target, number>,
  nowMs: number,
  random: Random,
): { readonly kind: FaultKind; readonly set: readonly Target[] } | undefined {
  for (const kind of turn) {
    const free = kind.targets.filter((set) => set.every((target) => (freeAtMs.get(target) ?? 0) <= nowMs));
    if (free.length > 0) return { kind, set: random.pick(free) };
  }
  return undefined;
}
