import { expect, test } from "vitest";
import { dissect, ticksPerNanosecond, TIDY, TOTAL } from "../../bench/dissection.ts";
import type { Observation } from "../../bench/observation.ts";

/** A counter of 2 ticks a nanosecond; the anchor is 500 ns after the begin. */
function observationAt(began: bigint): Observation {
  const anchored = began + 500n;
  return {
    began,
    anchor: { nanoseconds: anchored, ticks: anchored * 2n },
    phases: [
      { phase: "slot steps", nanoseconds: 100 },
      { phase: "supervise", nanoseconds: 900 },
      { phase: "collect", nanoseconds: 1000 },
      { phase: "tidy", nanoseconds: 1300 },
    ],
    steps: [
      { part: "launcher: lifetime", ticks: -400 },
      { part: "launcher: namespaces", ticks: -200 },
      { part: "init: cgroup", ticks: 0 },
      { part: "init: exec", ticks: 100 },
      { part: "init: cgroup", ticks: 160 },
    ],
  };
}

test("the speed of the counter comes from containers far apart", () => {
  const observations = [observationAt(5_000n), observationAt(1_000n), observationAt(9_000n)];
  expect(ticksPerNanosecond(observations)).toBe(2);
});

test("one container does not tell the speed of the counter", () => {
  expect(() => ticksPerNanosecond([observationAt(0n)])).toThrow(RangeError);
});

test("the slot's time ends with its result, and what comes after is told beside it", () => {
  const { slot } = dissect(observationAt(1_000n), 2);
  expect([...slot]).toEqual([
    ["slot steps", 100],
    ["supervise", 800],
    ["collect", 100],
    [TOTAL, 1000],
    [TIDY, 300],
  ]);
});

test("the processes' time goes from the slot's last step to init's end, steps of a kind together", () => {
  const { processes } = dissect(observationAt(1_000n), 2);
  expect([...processes]).toEqual([
    ["launcher: lifetime", 200],
    ["launcher: namespaces", 100],
    ["init: cgroup", 130],
    ["init: exec", 50],
    ["init: exit, until the slot knows", 320],
    [TOTAL, 800],
  ]);
});

test("the processes' time of a container that was prepared goes from its release", () => {
  const { phases, ...observation } = observationAt(1_000n);
  const [, ...ended] = phases;
  const released = [{ phase: "files", nanoseconds: 100 } as const, ...ended];
  const { processes } = dissect({ ...observation, phases: released }, 2);
  expect([...processes].slice(0, 2)).toEqual([
    ["launcher: lifetime", 200],
    ["launcher: namespaces", 100],
  ]);
});
