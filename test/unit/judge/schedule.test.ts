import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Schedule, type ScheduledRequest } from "../../../worker/jobs/judge/schedule.ts";

/** Runs a schedule with so many slots; `pick` chooses which of those that run ends next. */
function runAll(
  request: ScheduledRequest,
  isAccepted: readonly boolean[],
  slots: number,
  pick: (running: readonly number[]) => number,
): { readonly outcomes: readonly string[]; readonly begun: readonly number[] } {
  const schedule = new Schedule(request);
  const begun: number[] = [];
  let running: number[] = [];
  while (!schedule.isOver) {
    while (running.length < slots) {
      const next = schedule.begin();
      if (next === undefined) break;
      begun.push(next);
      running.push(next);
    }
    const ended = running[pick(running) % running.length];
    if (ended === undefined) throw new Error("nothing runs, and it is not over");
    const stopped = schedule.settle(ended, isAccepted[ended] === true ? "accepted" : "not accepted");
    running = running.filter((index) => index !== ended && !stopped.includes(index));
  }
  expect(schedule.settledInOrder).toBe(request.cases.length);
  const outcomes = request.cases.map((_, index) =>
    schedule.isSkipped(index) ? "skipped" : isAccepted[index] === true ? "accepted" : "not accepted",
  );
  return { outcomes, begun };
}

const inOrder = () => 0;
const cases = (...groups: (string | undefined)[]) => groups.map((group) => ({ group }));

describe("a schedule", () => {
  it("runs everything unless told otherwise", () => {
    const request = { cases: cases("a", "a", undefined), groups: [], stopOn: "never" } as const;
    expect(runAll(request, [false, true, false], 1, inOrder).outcomes).toEqual([
      "not accepted",
      "accepted",
      "not accepted",
    ]);
  });

  it("skips what comes after the first failure", () => {
    const request = { cases: cases(undefined, undefined, undefined), groups: [], stopOn: "first-failure" } as const;
    const { outcomes, begun } = runAll(request, [true, false, true], 1, inOrder);
    expect(outcomes).toEqual(["accepted", "not accepted", "skipped"]);
    expect(begun).toEqual([0, 1]);
  });

  it("skips the rest of a group after its first failure, and no other case", () => {
    const request = { cases: cases("a", "b", "a", undefined, "b"), groups: [], stopOn: "group-failure" } as const;
    expect(runAll(request, [false, true, true, true, true], 1, inOrder).outcomes).toEqual([
      "not accepted",
      "accepted",
      "skipped",
      "accepted",
      "accepted",
    ]);
  });

  it("waits for dependencies, and skips what depends on a failure, and on that", () => {
    const groups = [
      { name: "b", dependsOn: ["a"] },
      { name: "c", dependsOn: ["b"] },
    ];
    const request = { cases: cases("a", "a", "b", "c", "d"), groups, stopOn: "never" } as const;
    const { outcomes, begun } = runAll(request, [false, true, true, true, true], 4, inOrder);
    expect(outcomes).toEqual(["not accepted", "accepted", "skipped", "skipped", "accepted"]);
    expect(begun).toEqual([0, 1, 4]);
  });

  it("comes to the same with any number of slots, in whatever order cases end", () => {
    const names = ["a", "b", "c"] as const;
    const sizes = fc.tuple(fc.nat(3), fc.nat(3), fc.nat(3));
    fc.assert(
      fc.property(
        sizes,
        fc.array(fc.boolean(), { minLength: 9, maxLength: 9 }),
        fc.constantFrom("never", "first-failure", "group-failure"),
        fc.integer({ min: 2, max: 5 }),
        fc.infiniteStream(fc.nat(4)),
        ([one, two, three], accepted, stopOn, slots, picks) => {
          const counts = [one, two, three];
          const all = names.flatMap((name, index) => Array.from({ length: counts[index] ?? 0 }, () => name));
          const groups = [
            { name: "b", dependsOn: ["a"] },
            { name: "c", dependsOn: ["b"] },
          ];
          const request = { cases: cases(...all), groups, stopOn };
          const parallel = runAll(request, accepted, slots, () => picks.next().value ?? 0);
          expect(parallel.outcomes).toEqual(runAll(request, accepted, 1, inOrder).outcomes);
        },
      ),
    );
  });
});
