/** The parts of a job of kind `shard`: who runs what, and what workers and watchers are handed of it. */
import type { PlannedPart, ShardPartRequest, ShardPlan } from "../../../shared/shard-part.ts";
import type { ShardRequest } from "../../../shared/shard-request.ts";
import type { ShardEvent } from "../../../shared/shard-result.ts";
import type { SuiteTimes } from "../../../shared/shard-store.ts";
import { splitIntoBatches } from "./split/batches.ts";
import { type Durations, splitByDuration, splitRoundRobin } from "./split/split.ts";

/** Who runs what. @param items without them, the command splits by itself @param times of what is remembered */
export function planParts(
  { strategy, shards }: ShardRequest,
  items: readonly string[] | undefined,
  times: SuiteTimes,
): Pick<ShardPlan, "parts" | "batches"> {
  if (items === undefined) {
    const part: PlannedPart = { work: { kind: "whole" }, expectedMs: null };
    return { parts: Array.from({ length: shards }, () => part), batches: [] };
  }
  const distinct = [...new Set(items)];
  const count = Math.min(shards, distinct.length);
  switch (strategy) {
    case "dynamic": {
      const part: PlannedPart = { work: { kind: "batches" }, expectedMs: null };
      return {
        parts: Array.from({ length: count }, () => part),
        batches: splitIntoBatches(distinct, count, times),
      };
    }
    case "time":
      return {
        parts: splitByDuration(distinct, count, times.itemsMs).map((part) => planned(part, times.itemsMs)),
        batches: [],
      };
    case "round-robin":
      return { parts: splitRoundRobin(distinct, count).map((part) => planned(part, times.itemsMs)), batches: [] };
    default:
      return strategy satisfies never;
  }
}

function planned(items: readonly string[], durations: Durations): PlannedPart {
  const known = items.flatMap((item) => durations.get(item) ?? []);
  const expectedMs = known.length === 0 ? null : Math.round(known.reduce((sum, ms) => sum + ms, 0));
  return { work: { kind: "items", items }, expectedMs };
}

/** What workers are handed by a plan. */
export function partsOf(job: string, { priority }: ShardRequest, plan: ShardPlan): ShardPartRequest[] {
  const shards = plan.parts.length;
  return plan.parts.map(({ work }, index) => ({
    kind: "shard-part",
    job,
    shard: index + 1,
    shards,
    work,
    setup: plan.setupLayer,
    priority,
  }));
}

/** What those are told of a part who watch the job, before it has begun. */
export function eventOf({ shard, shards, work }: ShardPartRequest): ShardEvent {
  return {
    shard,
    shards,
    state: "queued",
    attempt: 0,
    worker: null,
    items: 0,
    itemsTotal: work.kind === "items" ? work.items.length : null,
    counts: noCounts,
    wallTimeMs: 0,
  };
}

/** Of no test at all. */
export const noCounts = { tests: 0, passed: 0, failed: 0, errored: 0, skipped: 0, flaky: 0, lost: 0 };
