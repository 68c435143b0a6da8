/**
 * Whether a program is measured alike each time: the CPU time of one that is judged again and again, alone and while all
 * other slots are busy, with cores of their own for the slots and without; and its peak of memory, with the files that it
 * reads in memory already and without.
 */
import { join } from "node:path";
import { availableParallelism } from "node:os";
import type { JudgeUsage } from "../../../shared/judge-result.ts";
import { ImageStore } from "../../../worker/images/store.ts";
import { makeDataDirectory } from "../../support/data-directory.ts";
import type { BenchProgram, ProgramOptions } from "../bench-program.ts";
import { JudgeClient, type RunningJob } from "../fidelity/judge-client.ts";
import { bytesInMemory, forgetFiles } from "../fidelity/page-cache.ts";
import { neighbour, reader, submissions } from "../fidelity/programs.ts";
import { startLongshore } from "../longshore.ts";
import type { Findings, Row, Table } from "../report.ts";
import { interleave, type Subject } from "../rounds.ts";
import { quantile } from "../statistics.ts";
import type { Workbench } from "../workbench.ts";

/** A slot is measured beside at least one other. */
const SLOTS = Math.max(2, availableParallelism());

const bounds = Object.keys(submissions) as (keyof typeof submissions)[];
const companies = ["alone", "beside"] as const;
const cpusets = ["auto", "none"] as const;

/** One of the ways in which CPU time is measured. */
interface Circumstances {
  readonly name: string;
  /** What the program is bound by. */
  readonly bound: (typeof bounds)[number];
  readonly company: (typeof companies)[number];
  readonly cpuset: (typeof cpusets)[number];
}

const circumstances: readonly Circumstances[] = bounds.flatMap((bound) =>
  companies.flatMap((company) =>
    cpusets.map((cpuset) => ({ name: `${bound}-${company}-${cpuset}`, bound, company, cpuset })),
  ),
);

const PEAK = "peak";
/** Of the program whose files are not in memory; and of how many after it. */
const LATER_RUNS = 10;

/** `npm run bench -- fidelity` */
export const fidelity: BenchProgram = {
  name: "fidelity",
  title: "Fidelity: the same program, judged again and again",
  summary: "spread of CPU time alone and beside busy slots, peak of memory cold and warm; needs the images c, python",
  subjects: [...circumstances.map(({ name }) => name), PEAK],
  rounds: { count: 50, warmUp: 2 },
  run,
};

async function run(bench: Workbench, options: ProgramOptions): Promise<Findings> {
  const isWanted = (name: string): boolean => options.only?.includes(name) ?? true;
  await using resources = new AsyncDisposableStack();
  const wanted = circumstances.filter(({ name }) => isWanted(name));
  const needed = isWanted(PEAK) ? cpusets : cpusets.filter((cpuset) => wanted.some((one) => one.cpuset === cpuset));
  const clients = new Map<string, JudgeClient>();
  for (const cpuset of needed) clients.set(cpuset, await openClient(bench, cpuset, resources));
  const clientOf = (cpuset: Circumstances["cpuset"]): JudgeClient => {
    const client = clients.get(cpuset);
    if (client === undefined) throw new RangeError(`no worker was started with ${cpuset}`);
    return client;
  };
  const subjects: Subject<number>[] = [];
  for (const { name, bound, company, cpuset } of wanted) {
    const client = clientOf(cpuset);
    const expected = await client.printed(submissions[bound]);
    const judge = async (): Promise<number> => (await client.judge(submissions[bound], expected)).cpuTimeMs;
    subjects.push({ name, measure: company === "alone" ? judge : () => besideBusySlots(client, judge) });
  }
  const samples = await interleave(subjects, options);
  const peaks = isWanted(PEAK) ? await measurePeaks(clientOf("auto")) : undefined;
  return {
    tables: [
      ...(samples.size === 0 ? [] : [tabulateSpread(samples)]),
      ...(peaks === undefined ? [] : [tabulatePeaks(peaks)]),
    ],
    notes: [
      "core: a chain of multiplications; memory: a random walk through 8 MiB, which its core's own caches do not hold.",
      `alone: nothing else is judged; beside: the worker's other slots (${SLOTS - 1}) walk through 64 MiB each, for ever.`,
      "auto: each slot has a core of its own (LONGSHORE_CPUSET); none: the kernel moves programs between cores.",
      "Redis, API, worker and bench run on the same cores; what a program takes of a core is counted for it alone.",
    ],
    data: { unit: "ms", candidates: [...samples].map(([name, values]) => ({ name, samples: values })), peaks },
  };
}

async function openClient(bench: Workbench, cpuset: string, resources: AsyncDisposableStack): Promise<JudgeClient> {
  const data = resources.use(await makeDataDirectory());
  const settings = { LONGSHORE_DATA: data.path, LONGSHORE_SLOTS: String(SLOTS), LONGSHORE_CPUSET: cpuset };
  return new JudgeClient((await startLongshore(bench, resources, { settings })).url);
}

async function besideBusySlots<Result>(client: JudgeClient, work: () => Promise<Result>): Promise<Result> {
  await using neighbours = new AsyncDisposableStack();
  const started: RunningJob[] = await Promise.all(Array.from({ length: SLOTS - 1 }, () => client.start(neighbour)));
  for (const job of started) neighbours.use(job);
  return await work();
}

/** Relative to the median, as programs take different times: how far the slowest is from the fastest, and so on. */
function tabulateSpread(samples: ReadonlyMap<string, readonly number[]>): Table {
  const rows = [...samples].map(([name, values]): Row => {
    const sorted = values.toSorted((one, other) => one - other);
    const [minimum, median, p95, maximum] = [0, 0.5, 0.95, 1].map((share) => quantile(sorted, share)) as Quantiles;
    const percent = (difference: number): string => `${((100 * difference) / median).toFixed(1)} %`;
    const times = [minimum, median, p95, maximum].map((value) => value.toFixed(1));
    return { name, cells: [String(values.length), ...times, percent(p95 - minimum), percent(maximum - minimum)] };
  });
  const columns = ["program", "rounds", "min", "median", "p95", "max", "p95 − min", "max − min"] as const;
  return { title: "CPU time, milliseconds", columns: [...columns], rows };
}

type Quantiles = [number, number, number, number];

/** What runs of one program have used, of which the first found none of its files in memory. */
interface Peaks {
  /** Bytes of the image's files that are in memory before the first and after it. */
  readonly cachedBytes: readonly [number, number];
  readonly cold: JudgeUsage;
  readonly warm: readonly JudgeUsage[];
}

async function measurePeaks(client: JudgeClient): Promise<Peaks> {
  await using data = await makeDataDirectory();
  const image = await (await ImageStore.open(join(data.path, "images"))).resolve(reader.language);
  if (image === undefined) throw new Error(`image ${reader.language} is not stored`);
  const layers = image.layers.map(({ path }) => path);
  const expected = await client.printed(reader);
  await forgetFiles(layers);
  const before = await bytesInMemory(layers);
  const cold = await client.judge(reader, expected);
  const cachedBytes = [before, await bytesInMemory(layers)] as const;
  const warm: JudgeUsage[] = [];
  while (warm.length < LATER_RUNS) warm.push(await client.judge(reader, expected));
  return { cachedBytes, cold, warm };
}

function tabulatePeaks({ cachedBytes, cold, warm }: Peaks): Table {
  const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(2);
  const row = (name: string, runs: readonly JudgeUsage[], inMemory: number): Row => {
    const peaks = runs.map(({ memoryPeakBytes }) => memoryPeakBytes);
    const range = [Math.min(...peaks), Math.max(...peaks)].map(megabytes);
    return { name, cells: [String(runs.length), megabytes(inMemory), ...range] };
  };
  return {
    title: "Peak of memory of a Python program, MB",
    columns: ["run", "runs", "of its image in memory before", "lowest peak", "highest peak"],
    rows: [row("first", [cold], cachedBytes[0]), row("later", warm, cachedBytes[1])],
  };
}
