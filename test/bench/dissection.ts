import type { Observation, PhaseObservation } from "./observation.ts";

/** The parts of one container's time, in nanoseconds, in their order; {@link TOTAL} is their sum. */
export interface Dissection {
  /** What the slot's thread did, or waited for, until it had a result; then {@link TIDY}, which is not in the sum. */
  readonly slot: ReadonlyMap<string, number>;
  /** From the preparation of the sandbox, or the release of what was prepared, until the slot knows that init is dead. */
  readonly processes: ReadonlyMap<string, number>;
}

export const TOTAL = "total";
export const TIDY = "after the result: tidy";

/** How fast the time-stamp counter is, from the moments that containers noted on both clocks: two at least. */
export function ticksPerNanosecond(observations: readonly Observation[]): number {
  const anchors = observations.map(({ anchor }) => anchor).toSorted((a, b) => Number(a.nanoseconds - b.nanoseconds));
  const [first, last] = [anchors.at(0), anchors.at(-1)];
  if (first === undefined || last === undefined || first.nanoseconds === last.nanoseconds) {
    throw new RangeError("the time-stamp counter cannot be related to the clock: measure two rounds at least");
  }
  return Number(last.ticks - first.ticks) / Number(last.nanoseconds - first.nanoseconds);
}

/** Takes a container's time apart; everything between two moments belongs to what ended at the second. */
export function dissect({ began, anchor, steps, phases }: Observation, rate: number): Dissection {
  const endOf = (name: PhaseObservation["phase"]): number => {
    const nanoseconds = phases.find(({ phase }) => phase === name)?.nanoseconds;
    if (nanoseconds === undefined) throw new RangeError(`the slot had no phase ${name}`);
    return nanoseconds;
  };
  const beforeResult = phases.filter(({ phase }) => phase !== "tidy");
  const slot = divide(
    0,
    beforeResult.map(({ phase, nanoseconds }) => ({ part: phase, at: nanoseconds })),
  );
  slot.set(TIDY, endOf("tidy") - (beforeResult.at(-1)?.nanoseconds ?? 0));

  const anchoredAt = Number(anchor.nanoseconds - began);
  // The first step of one that was prepared is that it is released, and of another that it is prepared.
  const isPrepared = !phases.some(({ phase }) => phase === "slot steps");
  const begun = isPrepared ? endOf("files") : endOf("slot steps");
  const executed = steps
    .map(({ part, ticks }) => ({ part, at: anchoredAt + ticks / rate }))
    .filter(({ at }) => at > begun);
  if (executed.length === 0) throw new RangeError("no step of the plan was executed");
  const processes = divide(begun, [...executed, { part: "init: exit, until the slot knows", at: endOf("supervise") }]);
  return { slot, processes };
}

/** The time up to each moment since the one before, summed up by part. */
function divide(from: number, moments: readonly { readonly part: string; readonly at: number }[]): Map<string, number> {
  const parts = new Map<string, number>();
  let before = from;
  for (const { part, at } of moments) {
    parts.set(part, (parts.get(part) ?? 0) + at - before);
    before = at;
  }
  return parts.set(TOTAL, before - from);
}
