/** Which items no report has, and why: they are never taken for passed. */
import type { PartStanding, ShardPlan } from "../../../../shared/shard-part.ts";
import type { LossReason, LostItem } from "../../../../shared/shard-result.ts";
import type { MergedReport, ReportedRun } from "../report/merge-reports.ts";

/** A part that is over, and what it has reported. */
export interface PartOutcome {
  readonly state: PartStanding["state"];
  readonly runs: readonly ReportedRun[];
  /** Why its reports cannot be had; null where they can. */
  readonly fault: string | null;
}

/** @param merged of all parts */
export function lostItems(
  plan: Pick<ShardPlan, "parts" | "batches">,
  parts: readonly PartOutcome[],
  merged: MergedReport,
): LostItem[] {
  const tried = new Map<string, LostItem>();
  for (const [index, { runs }] of parts.entries()) {
    for (const { items, tests, fault } of runs) {
      // The last command that had it says why. A report without tests is one.
      const reason: LossReason = tests.length === 0 && fault !== null ? "no_report" : "not_reported";
      for (const item of items) tried.set(item, { item, shard: index + 1, reason });
    }
  }
  const unreported = merged.lost.map(
    (item): LostItem => tried.get(item) ?? { item, shard: null, reason: "not_reported" },
  );
  const untried = plannedItems(plan).filter(({ item }) => !tried.has(item));
  return [...unreported, ...untried.map(({ item, shard }) => ({ item, shard, reason: reasonFor(shard, parts) }))];
}

/** All items of a job, and whose they are; of batches nobody's until they are taken. */
function plannedItems({ parts, batches }: Pick<ShardPlan, "parts" | "batches">): Omit<LostItem, "reason">[] {
  const given = parts.flatMap(({ work }, index) =>
    work.kind === "items" ? work.items.map((item) => ({ item, shard: index + 1 })) : [],
  );
  return [...given, ...batches.flat().map((item) => ({ item, shard: null }))];
}

function reasonFor(shard: number | null, parts: readonly PartOutcome[]): LossReason {
  const whose = parts.filter((_, index) => shard === null || shard === index + 1);
  if (whose.some(({ state }) => state === "failed")) return "shard_failed";
  return whose.some(({ fault }) => fault !== null) ? "no_report" : "not_run";
}
