import { describe, expect, test } from "vitest";
import { defaultMaxima, limitNames, limitTable, resolveLimits } from "../../../shared/limits.ts";
import { faultsOf, smallest } from "./request.ts";

const faults = (limits: unknown): string[] => Object.keys(faultsOf({ ...smallest, limits }));

describe.each(limitNames)("%s", (name) => {
  const { minimum, maximum, default: preset, ceiling } = limitTable[name];

  test("minimum, default, maximum and ceiling are in order", () => {
    expect([minimum, preset, maximum, ceiling]).toEqual([minimum, preset, maximum, ceiling].toSorted((a, b) => a - b));
  });

  test("its bounds are accepted", () => {
    expect(faults({ [name]: minimum })).toEqual([]);
    expect(faults({ [name]: maximum })).toEqual([]);
  });

  test.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY, 1e300, maximum * 2, "1", null, [1]])(
    "%j is refused",
    (value) => {
      expect(faults({ [name]: value })).toEqual([`limits.${name}`]);
    },
  );
});

test.each(limitNames.filter((name) => limitTable[name].number === "whole"))("a fraction of %s is refused", (name) => {
  expect(faults({ [name]: limitTable[name].default + 0.5 })).toEqual([`limits.${name}`]);
});

test("a fraction of a core is accepted", () => {
  expect(faults({ cpus: 0.5 })).toEqual([]);
});

describe("what was not asked for", () => {
  test("comes from the table", () => {
    expect(resolveLimits(defaultMaxima, {})).toEqual({
      cpus: 1,
      cpuTimeMs: 5000,
      wallTimeMs: 10_000,
      memoryBytes: 268_435_456,
      processes: 64,
      outputBytes: 1_048_576,
      diskBytes: 67_108_864,
      fileBytes: 67_108_864,
      openFiles: 256,
      stackBytes: 67_108_864,
    });
  });

  test("comes from the preset before the table, and from the request before the preset", () => {
    const resolved = resolveLimits(defaultMaxima, { processes: 3 }, { processes: 2, openFiles: 99 });
    expect(resolved).toMatchObject({ processes: 3, openFiles: 99, cpus: 1 });
  });

  test("is cut to what the server grants", () => {
    const maxima = { ...defaultMaxima, memoryBytes: 10_000_000, diskBytes: 8192, fileBytes: 4096 };
    expect(resolveLimits(maxima, {}, { memoryBytes: 1e9 })).toMatchObject({
      memoryBytes: 10_000_000,
      diskBytes: 8192,
      fileBytes: 4096,
    });
  });

  test("the largest file is as large as the disk", () => {
    expect(resolveLimits(defaultMaxima, { diskBytes: 8192 }).fileBytes).toBe(8192);
    expect(resolveLimits(defaultMaxima, {}, { diskBytes: 8192 }).fileBytes).toBe(8192);
    expect(resolveLimits(defaultMaxima, { diskBytes: 8192, fileBytes: 1 }).fileBytes).toBe(1);
  });
});
