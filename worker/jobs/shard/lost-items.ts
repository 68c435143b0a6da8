/** Which items no report has, and why: they are never taken for passed. */
import { isOver, type PartStanding, type ShardPlan } from "../../../shared/shard-part.ts";
import type { LossReason, LostItem } from "../../../shared/shard-result.ts";
import type { MergedReport } from "./report/merge-reports.ts";
import type { PartReports } from "./part-reports.ts";

/**
 * @param reports of each part
 * @param merged of all of them
 */
export function lostItems(
  plan: ShardPlan,
  parts: readonly PartStanding[],
  reports: readonly PartReports[],
  merged: MergedReport,
): LostItem[] {
  const tried = new Map<string, LostItem>();
  for (const [index, { runs }] of reports.entries()) {
    for (const { items, tests } of runs) {
      // The last command that had it says why.
      const reason: LossReason = tests.length === 0 ? "no_report" : "not_reported";
      for (const item of items) tried.set(item, { item, shard: index + 1, reason });
    }
  }
  const unreported = merged.lost.map(
    (item): LostItem => tried.get(item) ?? { item, shard: null, reason: "not_reported" },
  );
  const untried = plannedItems(plan).filter(({ item }) => !tried.has(item));
  return [
    ...unreported,
    ...untried.map(({ item, shard }) => ({ item, shard, reason: reasonFor(shard, parts, reports) })),
  ];
}

/** All items of a job, and whose they are; of batches nobody's until they are taken. */
function plannedItems({ parts, batches }: ShardPlan): { readonly item: string; readonly shard: number | null }[] {
  const given = parts.flatMap(({ work }, index) =>
    work.kind === "items" ? work.items.map((item) => ({ item, shard: index + 1 })) : [],
  );
  return [...given, ...batches.flat().map((item) => ({ item, shard: null }))];
}

function reasonFor(shard: number | null, parts: readonly PartStanding[], reports: readonly PartReports[]): LossReason {
  const isOf = (index: number): boolean => shard === null || shard === index + 1;
  if (parts.some((part, index) => isOf(index) && part.state === "failed" && isOver(part))) return "shard_failed";
  if (reports.some(({ fault }, index) => isOf(index) && fault !== null)) return "no_report";
  return "not_run";
}
