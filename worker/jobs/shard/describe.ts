/** What is said of shards in a result, beside their tests. */
import type { PartStanding, ShardPlan } from "../../../shared/shard-part.ts";
import type { ShardReport, ShardResult, TestCounts } from "../../../shared/shard-result.ts";
import { noCounts } from "./parts.ts";
import { type PartReports, REPORTS_FILE } from "./part-reports.ts";
import { evenness } from "./split/split.ts";

/** What is said of a part that is over, as a shard. */
export function reportOf(
  index: number,
  part: PartStanding,
  plan: ShardPlan,
  reports: readonly PartReports[],
  counts: readonly TestCounts[],
): ShardReport {
  if (part.state !== "done" && part.state !== "failed" && part.state !== "canceled") {
    throw new Error(`shard ${index + 1} is ${part.state}, and was to be merged`);
  }
  const shard = index + 1;
  const { state, attempt, worker, result, error } = part;
  const nothing = { content: "", encoding: "utf8", bytes: 0, truncated: false } as const;
  const files = (result?.files ?? []).filter(({ path }) => path !== REPORTS_FILE);
  return {
    shard,
    state,
    attempt,
    worker: result?.worker ?? worker,
    items: result?.items ?? 0,
    counts: counts[index] ?? noCounts,
    wallTimeMs: round(result?.wallTimeMs ?? 0),
    expectedMs: plan.parts[index]?.expectedMs ?? null,
    runs: [...(result?.runs ?? [])],
    stdout: result?.stdout ?? nothing,
    stderr: result?.stderr ?? nothing,
    outputs: files.map((file) => {
      const { path } = file;
      return "error" in file ? { path, error: file.error } : { path, bytes: file.bytes, sha256: hexOf(file.blob) };
    }),
    error: error ?? (reports[index]?.fault ? { code: "blob_unavailable", message: reports[index].fault } : null),
  };
}

/** What is wrong besides tests and items. */
export function faultsOf(parts: readonly PartStanding[], reports: readonly PartReports[]): string[] {
  return parts.flatMap((part, index) => {
    const name = `shard ${index + 1}`;
    const fault = reports[index]?.fault;
    if (part.state === "canceled") return [`${name} was stopped`];
    if (part.state === "failed") return [`${name} failed: ${part.error?.message ?? "it is lost"}`];
    if (fault) return [`${name}: ${fault}`];
    return "result" in part ? (part.result?.endings ?? []).map((ending) => `${name}: ${ending}`) : [];
  });
}

/** Why a job is not passed, in a sentence. */
export function describeFaults(counts: ShardResult["counts"], faults: readonly string[]): string {
  const say = (count: number, one: string, many: string): string[] =>
    count === 0 ? [] : [`${count} ${count === 1 ? one : many}`];
  const [first, ...others] = faults;
  return [
    ...say(counts.failed, "test failed", "tests failed"),
    ...say(counts.errored, "test broke", "tests broke"),
    ...say(counts.lost, "item is lost", "items are lost"),
    ...(first === undefined ? [] : [first]),
    ...say(others.length, "more fault", "more faults"),
  ].join("; ");
}

/** How even those were that ran; null where none did. */
export function evennessOf(shards: readonly ShardReport[]): number | null {
  // One that came when nothing was left did not run beside the others, but after them.
  const busy = shards.filter(({ state, runs }) => state === "done" && runs.length > 0);
  const value = evenness(busy.map(({ wallTimeMs }) => wallTimeMs));
  return value === null ? null : round(value);
}

/** From the first part's way into the queue to the end of the last one, by the clock of Redis. */
export function shardsMs(parts: readonly PartStanding[]): number {
  const times = parts.flatMap((part) => ("createdAt" in part && part.finishedAt !== null ? [part] : []));
  const begin = Math.min(...times.map(({ createdAt }) => createdAt));
  const end = Math.max(...times.map(({ finishedAt }) => finishedAt ?? 0));
  return times.length === 0 ? 0 : round(Math.max(0, end - begin));
}

function hexOf(digest: string): string {
  return digest.slice("sha256:".length);
}

/** Microseconds are as much as a clock tells. */
export function round(value: number): number {
  return Math.round(value * 1e3) / 1e3;
}
