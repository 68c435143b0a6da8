/** Takes the place of worker/container/plan/plan.ts: the same plan, weakened. */
import {
  type Command,
  planCommand as commandWhole,
  planPreparation as prepareWhole,
  planSandbox as sandboxWhole,
  type Preparation,
  type Sandbox,
} from "../../../worker/container/plan/plan.ts";
import { weaken, weakenRelease, weakenSandbox } from "./weakenings.ts";

export { joinPlans, planRelease } from "../../../worker/container/plan/plan.ts";

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

export function planCommand(...[spec]: Parameters<typeof commandWhole>): Command {
  const command = commandWhole(spec);
  return { ...command, steps: weakenRelease(names, command.steps) };
}
