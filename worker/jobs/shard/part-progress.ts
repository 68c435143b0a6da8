import type { ShardPartRequest } from "../../../shared/shard-part.ts";
import type { ShardEvent, TestCounts } from "../../../shared/shard-result.ts";
import type { Progress } from "../progress.ts";
import { noCounts } from "./parts.ts";
import type { PartRun, Runs } from "./part-run.ts";

/** What a shard has done so far, for itself and for those who watch the job. */
export class PartProgress {
  readonly runs: PartRun[] = [];
  items = 0;
  wallTimeMs = 0;
  #counts: TestCounts = noCounts;
  readonly #part: ShardPartRequest;
  readonly #attempt: Pick<ShardEvent, "worker" | "attempt">;
  readonly #progress: Progress;

  constructor(part: ShardPartRequest, attempt: Pick<ShardEvent, "worker" | "attempt">, progress: Progress) {
    this.#part = part;
    this.#attempt = attempt;
    this.#progress = progress;
  }

  add(runs: Runs): void {
    this.runs.push(...runs);
    this.items += runs[0].run.items;
    for (const { run } of runs) this.wallTimeMs += run.wallTimeMs;
    this.#counts = addCounts(this.#counts, (runs.at(-1) ?? runs[0]).reading.merged);
  }

  /** Tells how it stands while it goes on. Its end is told with its result. */
  tell(): void {
    this.#progress.report({ name: "shard", data: this.event("running") });
  }

  event(state: ShardEvent["state"]): ShardEvent {
    const { shard, shards, work } = this.#part;
    return {
      shard,
      shards,
      state,
      ...this.#attempt,
      items: this.items,
      itemsTotal: work.kind === "items" ? work.items.length : null,
      counts: this.#counts,
      wallTimeMs: Math.round(this.wallTimeMs),
    };
  }
}

/** Of different items: no test is of both. */
function addCounts(one: TestCounts, other: TestCounts): TestCounts {
  return {
    tests: one.tests + other.tests,
    passed: one.passed + other.passed,
    failed: one.failed + other.failed,
    errored: one.errored + other.errored,
    skipped: one.skipped + other.skipped,
    flaky: one.flaky + other.flaky,
    lost: one.lost + other.lost,
  };
}
