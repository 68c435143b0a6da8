import { containerFaults } from "./containers.ts";
import type { FaultKind } from "./fault.ts";
import { processFaults } from "./processes.ts";
import { redisFaults } from "./redis.ts";
import { resourceFaults } from "./resources.ts";

/** Every way to break something. */
export const faultKinds: readonly FaultKind[] = [
  ...processFaults,
  ...redisFaults,
  ...resourceFaults,
  ...containerFaults,
];
