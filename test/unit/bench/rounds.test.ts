import { expect, test } from "vitest";
import { interleave } from "../../bench/rounds.ts";

const names = ["a", "b", "c"];

function recorder(): { order: string[]; subjects: { name: string; measure: () => Promise<number> }[] } {
  const order: string[] = [];
  const subjects = names.map((name) => ({ name, measure: async () => order.push(name) }));
  return { order, subjects };
}

const options = { rounds: 50, warmUp: 2, signal: new AbortController().signal, onRound: () => undefined };

test("every round has every subject once, and rounds differ in their order", async () => {
  const { order, subjects } = recorder();
  await interleave(subjects, options);
  const rounds = Array.from({ length: 52 }, (_, round) => order.slice(round * 3, round * 3 + 3));
  expect(rounds.map((round) => round.toSorted())).toEqual(rounds.map(() => names));
  expect(new Set(rounds.map((round) => round.join(""))).size).toBeGreaterThan(1);
});

test("rounds to warm up are made, and not counted", async () => {
  const { order, subjects } = recorder();
  const samples = await interleave(subjects, options);
  expect(order.length).toBe(3 * 52);
  expect([...samples].map(([name, values]) => [name, values.length])).toEqual(names.map((name) => [name, 50]));
});

test("an abort ends the measurement", async () => {
  const { subjects } = recorder();
  await expect(interleave(subjects, { ...options, signal: AbortSignal.abort(new Error("enough")) })).rejects.toThrow(
    "enough",
  );
});
