/** Where the time of one job goes, from the client's request to its answer, through API, Redis and worker. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { BenchProgram, ProgramOptions } from "../bench-program.ts";
import { benchJob, Client, startLongshore, type Visit } from "../longshore.ts";
import { type Findings, tabulateStatistics } from "../report.ts";
import { interleave } from "../rounds.ts";
import { readStages, type StageEnd, STAGES_FILE } from "../stage-file.ts";
import { type Statistics, summarize } from "../statistics.ts";
import type { Workbench } from "../workbench.ts";

const SUBJECT = "job";

/** `npm run bench -- stages` */
export const stages: BenchProgram = {
  name: "stages",
  title: "Where the time of a job goes",
  summary: "where the time of a job goes on its way through API, Redis and worker",
  subjects: [SUBJECT],
  run,
};

/** How each part ends; in this order in the table. */
const parts: Readonly<Record<StageEnd["stage"] | "read by the client", string>> = {
  received: "client → API: connection, HTTP head",
  routed: "API: middleware",
  read: "API: body read, JSON parsed",
  validated: "API: schema, preset, limits",
  accepted: "Redis: record written and confirmed, BullMQ's add",
  dequeued: "worker: BullMQ's hand-over",
  claimed: "Redis: attempt holds the record",
  planned: "worker: slot, image, layers, container described",
  run: "worker: container, from the slot's call to its result",
  stored: "Redis: result stored",
  noticed: "API: told of the end",
  fetched: "API: job read, of the message or from Redis",
  answered: "API: JSON written",
  "read by the client": "API → client: answer read",
};

async function run(bench: Workbench, options: ProgramOptions): Promise<Findings> {
  const path = join(bench.directory, "stages");
  writeFileSync(path, "");
  const recorder = pathToFileURL(join(import.meta.dirname, "../stage-recorder.ts")).href;
  const settings = { [STAGES_FILE]: path, NODE_OPTIONS: `--import=${recorder}` };
  const visits: readonly Visit[] = await visit(bench, options, settings);

  const samples = new Map<string, number[]>(Object.keys(parts).map((stage) => [stage, []]));
  for (const [stage, nanoseconds] of divide(visits, readStages(path))) samples.get(stage)?.push(nanoseconds / 1000);
  const statistics = new Map<string, Statistics>(
    Object.entries(parts).map(([stage, title]) => [title, summarize(samples.get(stage) ?? [])]),
  );
  const total = summarize(visits.map(({ sent, answered }) => Number(answered - sent) / 1000));
  return {
    tables: [tabulateStatistics("Stages of a job, µs", "until", new Map([...statistics, ["the whole", total]]), 1)],
    notes: [
      "Each part is everything since the one before it. Medians of parts do not add up to the median of the whole.",
      "While the API hears that the job is accepted, the worker may have begun already: whichever is later gets the time since the other.",
      "Noting the stages takes some microseconds of each.",
    ],
    data: { unit: "µs", stages: Object.fromEntries(samples), total },
  };
}

/** Stopped when they have said all: processes note some of their stages after the answer. */
async function visit(
  bench: Workbench,
  options: ProgramOptions,
  settings: Readonly<Record<string, string>>,
): Promise<readonly Visit[]> {
  await using resources = new AsyncDisposableStack();
  const { url } = await startLongshore(bench, resources, { settings });
  const client = resources.use(new Client(url, benchJob(bench)));
  const samples = await interleave([{ name: SUBJECT, measure: () => client.post() }], options);
  return samples.get(SUBJECT) ?? [];
}

/** Each stage of each visit with its nanoseconds: everything since the stage before it, or since it was sent. */
function* divide(visits: readonly Visit[], ends: readonly StageEnd[]): Generator<readonly [string, number]> {
  for (const { sent, answered } of visits) {
    // A stage may end twice (the record is read before waiting, too): what is waited for is the last.
    const lasts = new Map(ends.filter(({ at }) => sent <= at && at <= answered).map(({ stage, at }) => [stage, at]));
    let before = sent;
    for (const [stage, at] of [...lasts].toSorted(([, a], [, b]) => Number(a - b))) {
      yield [stage, Number(at - before)];
      before = at;
    }
    yield ["read by the client", Number(answered - before)];
  }
}
