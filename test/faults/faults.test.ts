import { expect, it } from "vitest";
import { faultKinds } from "./kinds/index.ts";
import { runCampaign } from "./campaign.ts";
import { renderReport } from "./report.ts";

/** In which every kind of fault has its turn, Redis' half minute included. */
const DURATION_MS = 90_000;

/** `npm run test:faults` takes another one each time. */
const SEED = 300;

it("no job is lost, doubled or wrong, and nothing is left, when everything breaks", { timeout: 400_000 }, async () => {
  const report = await runCampaign({ durationMs: DURATION_MS, seed: SEED, say: (line) => console.log(line) });
  console.log(await renderReport(report, `npm run test:faults -- --minutes ${DURATION_MS / 60_000} --seed ${SEED}`));
  expect(report.jobs.accepted).toBeGreaterThan(50);
  expect(Object.keys(report.faults).toSorted()).toEqual(faultKinds.map(({ name }) => name).toSorted());
  expect(report.notes).toEqual([]);
  expect(Object.values(report.violations).every((count) => count === 0)).toBe(true);
  expect(report.unexplainedEnds).toEqual([]);
  expect(report.leftovers).toEqual([]);
});
