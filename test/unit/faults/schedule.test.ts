import { expect, it } from "vitest";
import { faultKinds } from "../../faults/kinds/index.ts";
import { Random } from "../../faults/random.ts";
import { makeSchedule, type ScheduledFault } from "../../faults/schedule.ts";

const TEN_MINUTES_MS = 600_000;

/** What can be compared of a schedule. */
function describeAll(schedule: readonly ScheduledFault[]): string[] {
  return schedule.map(({ name, atMs, targets, detail }) => `${atMs} ${name} (${targets.join()}): ${detail}`);
}

it("a seed gives the same faults again, and another one others", () => {
  const [once, again, other] = [7, 7, 8].map((seed) => describeAll(makeSchedule(faultKinds, seed, TEN_MINUTES_MS)));
  expect(again).toEqual(once);
  expect(other).not.toEqual(once);
});

it("every kind of fault comes, within the time, and none of a target before the last one of it is over", () => {
  const schedule = makeSchedule(faultKinds, 7, TEN_MINUTES_MS);
  expect(new Set(schedule.map(({ name }) => name))).toEqual(new Set(faultKinds.map(({ name }) => name)));
  for (const [index, { atMs, durationMs, targets }] of schedule.entries()) {
    expect(atMs + durationMs).toBeLessThanOrEqual(TEN_MINUTES_MS);
    const meanwhile = schedule.filter(
      (other, at) => at !== index && other.atMs >= atMs && other.atMs <= atMs + durationMs,
    );
    expect(meanwhile.filter((other) => other.targets.some((target) => targets.includes(target)))).toEqual([]);
  }
});

it("random numbers lie in their range, and reach all of it", () => {
  const random = new Random(1);
  const numbers = Array.from({ length: 1000 }, () => random.whole(3, 6));
  expect(new Set(numbers)).toEqual(new Set([3, 4, 5, 6]));
  expect(new Set(random.shuffled([1, 2, 3]))).toEqual(new Set([1, 2, 3]));
  expect(() => random.pick([])).toThrow(RangeError);
});
