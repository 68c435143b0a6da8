/** Takes the place of worker/container/plan/plan.ts: the same plan, weakened. */
import {
  planPreparation as prepareWhole,
  planRelease as releaseWhole,
  type Preparation,
  type Release,
} from "../../../worker/container/plan/plan.ts";
import { weaken, weakenRelease } from "./weakenings.ts";

export { joinPlans } from "../../../worker/container/plan/plan.ts";

/** What is turned off, as JSON. */
const names = JSON.parse(process.env["WEAKENINGS"] ?? "[]") as readonly string[];

export function planPreparation(...[shape, slot, host]: Parameters<typeof prepareWhole>): Preparation {
  const preparation = prepareWhole(shape, slot, host);
  return { ...preparation, steps: weaken(names, preparation.steps, slot) };
}

export function planRelease(...facts: Parameters<typeof releaseWhole>): Release {
  const release = releaseWhole(...facts);
  return { ...release, steps: weakenRelease(names, release.steps) };
}
