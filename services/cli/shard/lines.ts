/** How a part of a suite stands, in a line. */
import type { PhaseEvent, ShardEvent } from "../../../shared/shard-result.ts";
import { printable } from "../report.ts";
import type { Standing } from "./suite-events.ts";

/** Columns of the longest state. */
const STATE_WIDTH = "canceled".length;

/** @param sinceMs how long ago that was, in milliseconds, of what goes on since */
export function describeStanding({ kind, event }: Standing, sinceMs: number): string {
  return kind === "phase" ? describePhase(event, sinceMs) : describeShard(event, sinceMs);
}

/** Whether somebody should look at it. */
export function isBad({ kind, event }: Standing): boolean {
  return event.state === "failed" || (kind === "shard" && event.counts.failed + event.counts.errored > 0);
}

/** One line, e.g. `shard 2/4  running   12 of 30 items  118 passed, 1 failed  4.20 s  worker-1`. */
function describeShard(event: ShardEvent, sinceMs: number): string {
  const { shard, shards, state, attempt, worker, items, itemsTotal, counts, wallTimeMs } = event;
  const isQueued = state === "queued";
  return join([
    `shard ${String(shard).padStart(String(shards).length)}/${shards}`,
    state.padEnd(STATE_WIDTH),
    isQueued ? "" : itemsTotal === null ? `${items} items` : `${items} of ${itemsTotal} items`,
    describeCounts(counts),
    isQueued ? "" : seconds(wallTimeMs + sinceMs),
    worker === null ? "" : printable(worker),
    attempt > 1 ? `attempt ${attempt}` : "",
  ]);
}

/** One line, e.g. `discover   done      174 items  1.20 s  worker-1`. */
function describePhase({ phase, state, items, cached, wallTimeMs, worker }: PhaseEvent, sinceMs: number): string {
  return join([
    phase.padEnd("shard 1/1".length),
    state.padEnd(STATE_WIDTH),
    items === null ? "" : `${items} items`,
    cached ? "cached" : "",
    seconds(wallTimeMs + sinceMs),
    printable(worker),
  ]);
}

function join(parts: readonly string[]): string {
  return parts
    .filter((part) => part !== "")
    .join("  ")
    .trimEnd();
}

/** What there is of passed, failed and so on, e.g. `118 passed, 1 failed`; empty where there is nothing. */
export function describeCounts(counts: ShardEvent["counts"]): string {
  const { passed, failed, errored, skipped, flaky, lost } = counts;
  return Object.entries({ passed, failed, errored, skipped, flaky, lost })
    .filter(([, count]) => count > 0)
    .map(([name, count]) => `${count} ${name}`)
    .join(", ");
}

/** With two digits that count. */
export function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(milliseconds < 10_000 ? 2 : 1)} s`;
}
