import { randomInt } from "node:crypto";
import { expect, test } from "vitest";
import type { FuzzTarget } from "./target.ts";

/** For a target's seconds beside other tests, on a machine that is busy. */
const TIMEOUT_MS = 600_000;

/** Tries each target as often as it says. A failure names the seed that shows it again. */
export function checkTargets(targets: readonly FuzzTarget[]): void {
  test.for(targets.map((target) => [target.name, target] as const))(
    "%s",
    { timeout: TIMEOUT_MS },
    async ([, target]) => {
      const seed = randomInt(2 ** 31);
      const report = await target.run({ seed, runs: target.runs });
      expect(report.finding, `with the seed ${seed}`).toBeUndefined();
      expect(report.runs).toBe(target.runs);
    },
  );
}
