/** Takes the place of worker/container/plan/plan.ts: the same plan, weakened. */
import { type Plan, planContainer as planWhole } from "../../../worker/container/plan/plan.ts";
import { weaken } from "./weakenings.ts";

/** What is turned off, as JSON. */
const names = JSON.parse(process.env["WEAKENINGS"] ?? "[]") as readonly string[];

export function planContainer(...[spec, slot, host]: Parameters<typeof planWhole>): Plan {
  const plan = planWhole(spec, slot, host);
  return { ...plan, steps: weaken(names, plan.steps, slot) };
}
