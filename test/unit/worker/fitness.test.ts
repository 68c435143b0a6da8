import { expect, it } from "vitest";
import { Fitness } from "../../../worker/fitness.ts";

/** A fitness whose pauses take no time, and are taken down. */
function open() {
  const pauses: number[] = [];
  const fitness = new Fitness(async (ms) => void pauses.push(ms));
  return { fitness, pauses };
}

it("a worker rests for longer with each failure in a row, up to a limit", async () => {
  const { fitness, pauses } = open();
  expect(fitness.rest).toBeUndefined();
  for (let n = 0; n < 6; n++) {
    fitness.failed();
    await fitness.rest;
  }
  expect(pauses).toEqual([250, 500, 1000, 2000, 4000, 4000]);
  expect(fitness.rest).toBeUndefined();
});

it("a success makes it forget the failures before", async () => {
  const { fitness, pauses } = open();
  fitness.failed();
  await fitness.rest;
  fitness.succeeded();
  fitness.failed();
  await fitness.rest;
  expect(pauses).toEqual([250, 250]);
});

it("failures of several places at once count as one", async () => {
  const { fitness, pauses } = open();
  fitness.failed();
  fitness.failed();
  await fitness.rest;
  expect(pauses).toEqual([250]);
});

it("a rest ends for good when the worker takes no more jobs", async () => {
  const fitness = new Fitness();
  fitness.failed();
  const { rest } = fitness;
  expect(rest).toBeDefined();
  fitness.endRest();
  await rest;
  fitness.failed();
  expect(fitness.rest).toBeUndefined();
});
