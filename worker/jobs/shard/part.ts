/**
 * One shard: a part of a divided job, on whichever worker takes it.
 *
 *   items, or the next batch ─▶ command ─▶ report ─▶ what failed or is missing, again ─▶ … ─▶ the next batch
 *
 * What it has done is stored when it ends. A worker that is lost takes it along; the next attempt gives the batches back
 * that the lost one had taken, and begins anew.
 */
import type { ShardPartRequest } from "../../../shared/shard-part.ts";
import type { ShardRequest } from "../../../shared/shard-request.ts";
import type { ShardEvent, TestCounts } from "../../../shared/shard-result.ts";
import type { Holding } from "../../../shared/shard-store.ts";
import { type AttemptFacts, type ContainerRunner, failed, type JobContext, type JobOutcome } from "../context.ts";
import type { UnfinishedOutcome } from "../container.ts";
import { fitCommands } from "./command.ts";
import { prepareContainers } from "./containers.ts";
import { type PartRun, PartRunner } from "./part-run.ts";
import { countTests, mergeReports, type ReportedRun } from "./report/merge-reports.ts";
import { isFailing } from "./report/test-case.ts";
import { leaseSetup } from "./setup.ts";

/** Name of the file in which a part leaves its reports. */
export const REPORTS_FILE = "reports.json";

/** Commands that a result lists. */
const RUNS_MAX = 100;

export async function performShardPart(
  part: ShardPartRequest,
  { job: id, token, attempt, outputSpool }: AttemptFacts,
  slot: ContainerRunner,
  context: JobContext,
  signal: AbortSignal,
): Promise<JobOutcome> {
  const holding: Holding = { id, token };
  const request = await context.shards.request(part.job);
  if (request === undefined || (await context.shards.begin(holding, part)) === "lost") {
    return failed("internal_error", "the job of this shard is over, or another attempt has it", "pointless");
  }
  const told = new PartProgress(part, { worker: context.worker, attempt }, holding, context);
  await told.tell("running");

  await using leases = new AsyncDisposableStack();
  const containers = await prepareContainers(request, context, leases, signal);
  if (containers.kind !== "ready") return containers;
  const setup = part.setup === null ? undefined : await leaseSetup(part.setup, context, leases, signal);
  if (setup !== undefined && setup.kind !== "leased") return setup;
  const { layers } = containers.spec;
  const spec = {
    ...containers.spec,
    layers: setup === undefined ? layers : [...layers, { kind: "directory", path: setup.path } as const],
  };
  const runner = new PartRunner({
    request,
    place: part,
    spec,
    image: containers.image,
    spool: outputSpool,
    slot,
    context,
  });

  const endings: string[] = [];
  for await (const items of commandsOf(part, request, holding, context)) {
    const runs = await runUntilSettled(items, request, runner, (run) => told.add(run), signal);
    if ("kind" in runs) return runs;
    const ending = endingOf(runs);
    endings.push(...ending.faults);
    await told.tell("running");
    if (!request.failFast || ending.kind === "good") continue;
    await context.shards.stopOthers(holding, part.job);
    break;
  }
  await told.tell("done");

  const shown = told.runs.find((run) => !run.hasSucceeded) ?? told.runs.at(-1);
  const nothing = { content: "", encoding: "utf8", bytes: 0, truncated: false } as const;
  const reports: readonly ReportedRun[] = told.runs.map(({ reported }) => reported);
  return {
    kind: "part done",
    result: {
      worker: context.worker,
      runs: told.runs.slice(0, RUNS_MAX).map(({ run }) => run),
      items: told.items,
      wallTimeMs: told.wallTimeMs,
      endings,
      stdout: shown?.stdout ?? nothing,
      stderr: shown?.stderr ?? nothing,
      missing: runner.missing,
    },
    outputs: [...runner.files, { path: REPORTS_FILE, content: Buffer.from(JSON.stringify(reports)) }],
  };
}

/** The items of one command after the other; none at all where the command splits by itself. */
async function* commandsOf(
  part: ShardPartRequest,
  { command }: ShardRequest,
  holding: Holding,
  { shards }: JobContext,
): AsyncGenerator<readonly string[], void, void> {
  const { work } = part;
  switch (work.kind) {
    case "items":
      yield* fitCommands(command, work.items);
      return;
    case "batches":
      for (;;) {
        const items = await shards.takeBatch(holding, part);
        // Who has lost it is stopped soon, and not believed.
        if (typeof items === "string") return;
        yield* fitCommands(command, items);
      }
    case "whole":
      yield [];
      return;
    default:
      work satisfies never;
  }
}

/** Runs a command, and again with what failed or is missing, as often as is asked for. */
async function runUntilSettled(
  items: readonly string[],
  { retryFailed }: ShardRequest,
  runner: PartRunner,
  onRun: (run: PartRun) => void,
  signal: AbortSignal,
): Promise<readonly [PartRun, ...PartRun[]] | UnfinishedOutcome> {
  const first = await runner.run(items, 0, signal);
  if (first.kind !== "ran") return first;
  onRun(first);
  const runs: [PartRun, ...PartRun[]] = [first];
  for (let round = 1; round <= retryFailed; round++) {
    const again = itemsToRepeat(runs);
    if (again.length === 0) break;
    const next = await runner.run(again, round, signal);
    if (next.kind !== "ran") return next;
    onRun(next);
    runs.push(next);
  }
  return runs;
}

/**
 * Items of which a test has failed, or that are missing. Where it cannot be told which items those are, it is all of the
 * last command: one with a broken report, or with a failure that belongs to none.
 */
function itemsToRepeat(runs: readonly [PartRun, ...PartRun[]]): readonly string[] {
  const last = (runs.at(-1) ?? runs[0]) satisfies PartRun;
  const { tests, lost } = mergeReports(runs.map(({ reported }) => reported));
  const failing = tests.filter(isFailing);
  if (last.run.fault !== null || failing.some(({ items }) => items.length === 0)) return last.reported.items;
  const repeated = new Set([...lost, ...failing.flatMap(({ items }) => items)]);
  return last.reported.items.filter((item) => repeated.has(item));
}

/** How a command and its repetitions ended; `faults` has what no test says. */
function endingOf(runs: readonly [PartRun, ...PartRun[]]): { kind: "good" | "bad"; faults: readonly string[] } {
  const last = runs.at(-1) ?? runs[0];
  const { tests, lost } = mergeReports(runs.map(({ reported }) => reported));
  const hasFailure = tests.some(isFailing);
  const faults = [
    ...(last.run.fault === null ? [] : [last.run.fault]),
    ...(last.hasSucceeded || last.reported.tests.some(isFailing) ? [] : [describeEnding(last.run)]),
  ];
  return { kind: hasFailure || lost.length > 0 || faults.length > 0 ? "bad" : "good", faults };
}

function describeEnding({ outcome, exitCode, signal }: PartRun["run"]): string {
  if (outcome === "exited") return `exit code ${exitCode}`;
  return outcome === "signaled" ? `ended by ${signal}` : `ended by its ${outcome.replace("_", " ")}`;
}

/** What a shard has done so far, for itself and for those who watch the job. */
class PartProgress {
  readonly runs: PartRun[] = [];
  items = 0;
  wallTimeMs = 0;
  readonly #part: ShardPartRequest;
  readonly #attempt: Pick<ShardEvent, "worker" | "attempt">;
  readonly #holding: Holding;
  readonly #context: JobContext;

  constructor(
    part: ShardPartRequest,
    attempt: Pick<ShardEvent, "worker" | "attempt">,
    holding: Holding,
    context: JobContext,
  ) {
    this.#part = part;
    this.#attempt = attempt;
    this.#holding = holding;
    this.#context = context;
  }

  add(run: PartRun): void {
    this.runs.push(run);
    this.wallTimeMs += run.run.wallTimeMs;
    if (run.run.purpose === "first") this.items += run.run.items;
  }

  async tell(state: "running" | "done"): Promise<void> {
    const { shard, shards, work, job } = this.#part;
    await this.#context.shards.tell(this.#holding, job, {
      shard,
      shards,
      state,
      ...this.#attempt,
      items: this.items,
      itemsTotal: work.kind === "items" ? work.items.length : null,
      counts: this.#counts(),
      wallTimeMs: Math.round(this.wallTimeMs),
    });
  }

  #counts(): TestCounts {
    const { tests, lost } = mergeReports(this.runs.map(({ reported }) => reported));
    return { ...countTests(tests), lost: lost.length };
  }
}
