import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readRetryAfter, RegistryError, TransientError } from "../../../worker/images/registry/registry-error.ts";
import { DEFAULT_RETRY, Patience, pauseAfter, retrying } from "../../../worker/images/registry/retry.ts";

const quick = { ...DEFAULT_RETRY, firstPauseMs: 1, longestPauseMs: 1 };
const failure = new TransientError("broken", {});

describe("the pause after a failure", () => {
  it("doubles its upper end up to the longest", () => {
    const ends = [1, 2, 3, 4, 5].map((failures) => pauseAfter(failure, failures, DEFAULT_RETRY, 1));
    expect(ends).toEqual([250, 500, 1000, 2000, 4000]);
    expect(pauseAfter(failure, 30, { ...DEFAULT_RETRY, attempts: 99 }, 1)).toBe(15_000);
  });

  it("lies anywhere below that end, and ends with the attempts", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.double({ min: 0, max: 1, noNaN: true }), (failures, random) => {
        const pause = pauseAfter(failure, failures, DEFAULT_RETRY, random);
        if (failures >= DEFAULT_RETRY.attempts) expect(pause).toBeUndefined();
        else expect(pause).toBe(Math.round(random * 250 * 2 ** (failures - 1)));
      }),
    );
  });

  it("is at least what the server asks for, unless that is too much", () => {
    const asked = (retryAfterMs: number) =>
      pauseAfter(new TransientError("busy", { retryAfterMs }), 1, DEFAULT_RETRY, 1);
    expect(asked(3000)).toBe(3000);
    expect(asked(10)).toBe(250);
    expect(asked(3_600_000)).toBeUndefined();
  });
});

describe("Retry-After", () => {
  it.each([
    ["0", 0],
    ["120", 120_000],
    ["Fri, 31 Dec 1999 23:59:59 GMT", 59_000],
    ["Fri, 31 Dec 1999 00:00:00 GMT", 0],
    ["soon", undefined],
    ["-1.5", undefined],
    ["9999999999", undefined],
  ])("%s is %s ms", (value, expected) => {
    expect(readRetryAfter(value, Date.parse("1999-12-31T23:59:00Z"))).toBe(expected);
  });
});

describe("retrying", () => {
  it("goes on until it works, and tells of each failure", async () => {
    const told: string[] = [];
    let calls = 0;
    const value = await retrying(new Patience(quick, ({ message }) => told.push(message)), () => {
      calls += 1;
      return calls < 4 ? Promise.reject(new TransientError(`broken ${calls}`, {})) : Promise.resolve(calls);
    });
    expect(value).toBe(4);
    expect(told).toEqual(["broken 1", "broken 2", "broken 3"]);
  });

  it("throws the last failure when patience ends", async () => {
    let calls = 0;
    const always = () => Promise.reject(new TransientError(`broken ${(calls += 1)}`, {}));
    await expect(retrying(new Patience(quick), always)).rejects.toThrow("broken 6");
  });

  it("does not repeat what is refused for good", async () => {
    let calls = 0;
    const refused = () => {
      calls += 1;
      return Promise.reject(new RegistryError("no"));
    };
    await expect(retrying(new Patience(quick), refused)).rejects.toThrow("no");
    expect(calls).toBe(1);
  });

  it("ends a pause when it is aborted", async () => {
    const controller = new AbortController();
    const patience = new Patience(DEFAULT_RETRY, () => controller.abort(new Error("enough")), controller.signal);
    await expect(patience.endure(failure)).rejects.toMatchObject({ name: "AbortError" });
  });
});
