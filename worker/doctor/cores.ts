import type { Config } from "../../shared/config.ts";
import { type CgroupLayout, detectCgroups } from "../cgroup/detect.ts";
import { chooseCores } from "../cores.ts";
import { degraded, type Finding, ok } from "./finding.ts";

const NAME = "cores";

/**
 * Whether each slot of a worker can have a core of its own, as far as no other worker of the machine has it. Nothing is
 * found where no cgroups are: their own check says so.
 */
export function checkCores(config: Pick<Config, "cpuset" | "slots">, detect = detectCgroups): Finding[] {
  let layout: CgroupLayout;
  try {
    layout = detect();
  } catch {
    return [];
  }
  const { slots, cpuset } = config;
  const choice = chooseCores({ slots, cpuset, layout });
  switch (choice.kind) {
    case "divided": {
      const own = choice.orders.slice(0, slots).map(([first]) => first);
      return [ok(NAME, slots === 1 ? `core ${own.join()} for the slot` : `cores ${own.join(", ")} for ${slots} slots`)];
    }
    case "shared":
      // What was asked for lacks nothing.
      if (cpuset === "none") return [ok(NAME, `shared by all slots: ${choice.reason}`)];
      return [
        degraded(
          NAME,
          `shared by all slots: ${choice.reason}`,
          "how much CPU time a program takes depends on what runs beside it",
          "set LONGSHORE_SLOTS to the number of cores at most; on v2, have cpuset handed on to the worker's cgroup",
        ),
      ];
    default:
      throw new Error(`unknown choice of cores: ${JSON.stringify(choice satisfies never)}`);
  }
}
