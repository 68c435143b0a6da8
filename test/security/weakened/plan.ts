/** Takes the place of worker/container/plan/plan.ts: the same plan, weakened. */
import {
  planPreparation as prepareWhole,
  planRelease as releaseWhole,
  planSandbox as sandboxWhole,
  type Preparation,
  type Release,
  type Sandbox,
} from "../../../worker/container/plan/plan.ts";
import { weaken, weakenRelease, weakenSandbox } from "./weakenings.ts";

export { joinPlans } from "../../../worker/container/plan/plan.ts";

/** What is turned off, as JSON. */
const names = JSON.parse(process.env["WEAKENINGS"] ?? "[]") as readonly string[];

export function planSandbox(...facts: Parameters<typeof sandboxWhole>): Sandbox {
  const sandbox = sandboxWhole(...facts);
  return { ...sandbox, steps: weakenSandbox(names, sandbox.steps) };
}

export function planPreparation(...[shape, slot, host, sandbox]: Parameters<typeof prepareWhole>): Preparation {
  const preparation = prepareWhole(shape, slot, host, sandbox);
  return { ...preparation, steps: weaken(names, preparation.steps, slot) };
}

export function planRelease(...facts: Parameters<typeof releaseWhole>): Release {
  const release = releaseWhole(...facts);
  return { ...release, steps: weakenRelease(names, release.steps) };
}
