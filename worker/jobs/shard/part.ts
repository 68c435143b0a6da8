/**
 * One shard: a part of a divided job, on whichever worker takes it.
 *
 *   items, or the next batch ─▶ command ─▶ report ─▶ what failed or is missing, again ─▶ … ─▶ the next batch
 *
 * What it has done is stored when it ends, or is stopped because another shard has a failure. A worker that is lost takes it
 * along; the next attempt gives the batches back that the lost one had taken, and begins anew.
 */
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { ShardPartRequest } from "../../../shared/shard-part.ts";
import type { ShardRequest } from "../../../shared/shard-request.ts";
import type { Holding } from "../../../shared/shard-store.ts";
import { type AttemptFacts, type ContainerRunner, failed, type JobContext, type JobOutcome } from "../context.ts";
import type { UnfinishedOutcome } from "../container.ts";
import { inSlot } from "../slot.ts";
import { fitCommands } from "./command.ts";
import { prepareContainers } from "./containers.ts";
import { PartProgress } from "./part-progress.ts";
import { describeEnding, type PartRun, PartRunner, type Runs } from "./part-run.ts";
import { REPORTS_FILE } from "./part-reports.ts";
import { leaseSetup } from "./setup.ts";

/** Commands that a result lists. */
const RUNS_MAX = 100;

export async function performShardPart(
  part: ShardPartRequest,
  { job: id, token, attempt, outputSpool, progress, onPullBegin }: AttemptFacts,
  context: JobContext,
  signal: AbortSignal,
): Promise<JobOutcome> {
  const holding: Holding = { id, token };
  const request = await context.shards.request(part.job);
  if (request === undefined || (await context.shards.begin(holding, part)) === "lost") {
    return failed("internal_error", "the job of this shard is over, or another attempt has it", "pointless");
  }
  const told = new PartProgress(part, { worker: context.worker, attempt }, progress);
  told.tell();

  await using leases = new AsyncDisposableStack();
  const containers = await prepareContainers(request, { ...context, onPullBegin }, leases, signal);
  if (containers.kind !== "ready") return containers;
  const setup = part.setup === null ? undefined : await leaseSetup(part.setup, context, leases, signal);
  if (setup !== undefined && setup.kind !== "leased") return setup;
  const { layers } = containers.spec;
  const spec = {
    ...containers.spec,
    layers: setup === undefined ? layers : [...layers, { kind: "directory", path: setup.path } as const],
  };
  const { image } = containers;
  const options = { request, place: part, spec, image, spool: outputSpool, progress, context };
  const runner = new PartRunner(options);
  const endings: string[] = [];
  const ended = await inSlot(context, signal, async (slot) => {
    for await (const items of commandsOf(part, request, holding, context)) {
      const runs = await runUntilSettled(items, request, runner, slot, signal);
      if ("kind" in runs) return runs;
      told.add(runs);
      const faults = faultsOf(runs);
      endings.push(...faults);
      told.tell();
      const { merged } = (runs.at(-1) ?? runs[0]).reading;
      if (!request.failFast || merged.failed + merged.errored + merged.lost + faults.length === 0) continue;
      await context.shards.stopOthers(holding, part.job);
      break;
    }
    return { kind: "done" } as const;
  });
  if (ended.kind === "failed") return ended;
  // What it has done until it was stopped counts, unless its job is over, too.
  if (ended.kind === "canceled" && (await context.shards.request(part.job)) === undefined) return ended;

  const shown = told.runs.find((run) => !run.hasSucceeded) ?? told.runs.at(-1);
  const nothing = { content: "", encoding: "utf8", bytes: 0, truncated: false } as const;
  const reports = join(outputSpool.directory, REPORTS_FILE);
  await concatenate(
    told.runs.map(({ record }) => record),
    reports,
  );
  return {
    kind: "part over",
    event: told.event(ended.kind),
    result: {
      worker: context.worker,
      runs: told.runs.slice(0, RUNS_MAX).map(({ run }) => run),
      items: told.items,
      wallTimeMs: told.wallTimeMs,
      endings,
      stdout: shown?.stdout ?? nothing,
      stderr: shown?.stderr ?? nothing,
      missing: runner.files.missing,
    },
    outputs: [...runner.files.returned, { path: REPORTS_FILE, file: reports }],
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
      for (let turn = 0; ; turn++) {
        const items = await shards.takeBatch(holding, part, turn);
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
  slot: ContainerRunner,
  signal: AbortSignal,
): Promise<Runs | UnfinishedOutcome> {
  const first = await runner.run(items, [], slot, signal);
  if (first.kind !== "ran") return first;
  const runs: [PartRun, ...PartRun[]] = [first];
  for (let again = first.reading.repeat; again.length > 0 && runs.length <= retryFailed;) {
    const next = await runner.run(again, runs, slot, signal);
    if (next.kind !== "ran") return next;
    runs.push(next);
    again = next.reading.repeat;
  }
  return runs;
}

/** What was wrong with a command in the end, and no test says. */
function faultsOf(runs: Runs): string[] {
  const { run, reading, hasSucceeded } = runs.at(-1) ?? runs[0];
  return [
    // First, as it is why there may be no report.
    ...(hasSucceeded || reading.hasFailure ? [] : [describeEnding(run)]),
    ...(run.fault === null ? [] : [run.fault]),
  ];
}

async function concatenate(files: readonly string[], target: string): Promise<void> {
  await mkdir(dirname(target), { recursive: true, mode: 0o700 });
  await writeFile(target, "", { mode: 0o600 });
  for (const file of files) await pipeline(createReadStream(file), createWriteStream(target, { flags: "a" }));
}
