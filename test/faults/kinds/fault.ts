import type { FaultyInstallation } from "../machine/installation.ts";
import type { Random } from "../random.ts";

/** What a fault happens to. Two faults never have the same one at once; different ones they may. */
export const targets = ["worker-1", "worker-2", "api", "redis", "disk"] as const;
export type Target = (typeof targets)[number];

/** A fault that is certain but for the moment. */
export interface PlannedFault {
  /** Everything that chance has decided of it, for people. */
  readonly detail: string;
  /** What it takes, at most; in milliseconds. */
  readonly durationMs: number;
  /** Causes it and resolves when it is over. @returns whether it could be caused */
  readonly happen: (installation: FaultyInstallation) => Promise<boolean>;
}

/** A way in which something can break. */
export interface FaultKind {
  readonly name: string;
  /** One of these sets is hit at a time, as a whole. */
  readonly targets: readonly (readonly Target[])[];
  /** Decides how, by chance; `target` is the first of the set that is hit. */
  readonly plan: (random: Random, target: Target) => PlannedFault;
}
