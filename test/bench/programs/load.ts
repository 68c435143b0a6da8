/**
 * How many jobs a second all of Longshore does on this machine, clients included, and how long each of them takes, with
 * ever more clients; and a Python program beside the same program, of the same image, without any of it.
 */
import { join } from "node:path";
import { availableParallelism } from "node:os";
import { ImageStore } from "../../../worker/images/store.ts";
import { makeDataDirectory } from "../../support/data-directory.ts";
import { BareImage } from "../bare-image.ts";
import type { BenchProgram, ProgramOptions } from "../bench-program.ts";
import { benchJob, Client, startLongshore } from "../longshore.ts";
import { cpuTimeOfChildren } from "../processes.ts";
import type { Plot } from "../plot.ts";
import type { Findings, Table } from "../report.ts";
import { interleave, type Subject } from "../rounds.ts";
import { quantile, type Statistics, summarize } from "../statistics.ts";
import { SpawnThread } from "../threads.ts";
import { derive, type Formula, tabulateDerived } from "../targets.ts";
import type { Workbench } from "../workbench.ts";

/** Clients that each wait for an answer before they post again. */
const CLIENTS = [1, 2, 4, 8, 16, 32, 64] as const;

const PYTHON_CLIENTS = 32;

/** How long clients go on posting in one round. */
const BURST_MS = 1000;

const PYTHON_PROGRAM = 'print("hello")\n';

const HTTP = "http";
const BARE = "bare";
const PYTHON_HTTP = "python over http";
const PYTHON_BARE = "python bare";

/** As many as cores, which leaves each job one of its own; and twice as many, which leaves no core without a job. */
const SLOTS_PER_CORE = [1, 2] as const;

/** What rates should be: as many jobs of the bench's program as two cores are to do, and most of Python's bare rate. */
const rateFormulas: readonly Formula[] = [
  { name: httpName(32), of: [httpName(32)], kind: "figure", unit: "jobs/s", target: { kind: "at least", value: 500 } },
  ...SLOTS_PER_CORE.map((count): Formula => ({
    name: `${pythonName(count)} ÷ ${PYTHON_BARE}`,
    of: [pythonName(count), PYTHON_BARE],
    kind: "ratio",
    target: { kind: "at least", value: 0.75 },
  })),
];

/** What one client waits for beside the program itself. */
const latencyFormulas: readonly Formula[] = (
  [
    ["median", 3.5],
    ["p99", 10],
  ] as const
).map(([at, value]) => ({
  name: `${httpName(1)} − ${BARE}, ${at}`,
  of: [httpName(1), BARE],
  kind: "difference",
  at,
  target: { kind: "at most", value },
}));

/** `npm run bench -- load` */
export const load: BenchProgram = {
  name: "load",
  title: "Jobs per second",
  summary: "jobs per second and their latency with 1 to 64 clients; Python beside xargs; needs the image python",
  subjects: [HTTP, BARE, PYTHON_HTTP, PYTHON_BARE],
  rounds: { count: 10, warmUp: 2 },
  run,
};

/** What came of one round. */
interface Burst {
  /** Of each job, in milliseconds. */
  readonly latencies: readonly number[];
  /** From the first request to the last answer. */
  readonly seconds: number;
  readonly jobs: number;
  /** CPU time in milliseconds, by process. */
  readonly cpuTimes: ReadonlyMap<string, number>;
}

async function run(bench: Workbench, options: ProgramOptions): Promise<Findings> {
  await using resources = new AsyncDisposableStack();
  const isWanted = (name: string): boolean => options.only?.includes(name) ?? true;
  const subjects: Subject<Burst>[] = [];
  if (isWanted(HTTP)) {
    const settings = { LONGSHORE_SLOTS: String(availableParallelism()) };
    const { url } = await startLongshore(bench, resources, { settings });
    for (const count of CLIENTS) {
      subjects.push({ name: httpName(count), measure: () => burst(url, benchJob(bench), count) });
    }
  }
  if (isWanted(BARE)) subjects.push(prepareBare(bench, resources));
  if (isWanted(PYTHON_HTTP)) subjects.push(...(await preparePython(bench, resources)));
  if (isWanted(PYTHON_BARE)) subjects.push(await prepareBarePython(bench, resources));
  const bursts = await interleave(subjects, options);
  const derived = [
    ...derive(latenciesByName(bursts), latencyFormulas),
    ...derive(new Map([...bursts].map(([name, samples]) => [name, rateOf(samples)])), rateFormulas),
  ];
  return {
    tables: [tabulateLoad(bursts), tabulateCpuTime(bursts), ...(derived.length > 0 ? [tabulateDerived(derived)] : [])],
    ...(isWanted(HTTP) && { plot: plotLatencies(bursts) }),
    notes: [
      `Clients post the next job as soon as they have an answer, for ${BURST_MS} ms in each round, and run on the same cores.`,
      `${BARE}: posix_spawn of the program, one after the other, until each is reaped.`,
      `${PYTHON_BARE}: xargs -P${availableParallelism()} of the same program and interpreter, in the image's files without containers.`,
      "CPU times come from the kernel's accounts in units of 10 ms: of single clients they are rough.",
    ],
    data: {
      unit: "ms",
      derived,
      bursts: [...bursts].map(([name, samples]) => ({
        name,
        bursts: samples.map(({ cpuTimes, ...burst }) => ({ ...burst, cpuTimes: Object.fromEntries(cpuTimes) })),
      })),
    },
  };
}

function httpName(clients: number): string {
  return `${HTTP}, ${clients} ${clients === 1 ? "client" : "clients"}`;
}

async function burst(url: string, job: object, count: number): Promise<Burst> {
  using resources = new DisposableStack();
  const clients = Array.from({ length: count }, () => resources.use(new Client(url, job)));
  const before = cpuTimeOfChildren();
  const began = performance.now();
  const latencies: number[] = [];
  const keepPosting = async (client: Client): Promise<void> => {
    while (performance.now() - began < BURST_MS) {
      const { sent, answered } = await client.post();
      latencies.push(Number(answered - sent) / 1e6);
    }
  };
  await Promise.all(clients.map(keepPosting));
  const seconds = (performance.now() - began) / 1000;
  return { latencies, seconds, jobs: latencies.length, cpuTimes: difference(cpuTimeOfChildren(), before) };
}

/** As many as take about as long as the other bursts. */
const BARE_SPAWNS = 1000;

/** The bench's program without any of it, by one client. */
function prepareBare(bench: Workbench, resources: AsyncDisposableStack): Subject<Burst> {
  const spawner = resources.use(new SpawnThread(bench));
  const measure = async (): Promise<Burst> => {
    const began = performance.now();
    const latencies: number[] = [];
    while (latencies.length < BARE_SPAWNS) latencies.push((await spawner.time({ command: [bench.program] })) / 1e6);
    const seconds = (performance.now() - began) / 1000;
    return { latencies, seconds, jobs: latencies.length, cpuTimes: new Map() };
  };
  return { name: BARE, measure };
}

function pythonName(slotsPerCore: number): string {
  return `${PYTHON_HTTP}, ${slotsPerCore} ${slotsPerCore === 1 ? "slot" : "slots"} a core`;
}

/** Python programs as jobs, by the number of slots. */
async function preparePython(bench: Workbench, resources: AsyncDisposableStack): Promise<Subject<Burst>[]> {
  const subjects: Subject<Burst>[] = [];
  for (const count of SLOTS_PER_CORE) {
    const data = resources.use(await makeDataDirectory());
    const settings = { LONGSHORE_SLOTS: String(count * availableParallelism()), LONGSHORE_DATA: data.path };
    const { url } = await startLongshore(bench, resources, { settings });
    const job = { language: "python", source: PYTHON_PROGRAM };
    subjects.push({ name: pythonName(count), measure: () => burst(url, job, PYTHON_CLIENTS) });
  }
  return subjects;
}

/** As many runs as take about as long as the other bursts. */
const BARE_RUNS = 200;

async function prepareBarePython(bench: Workbench, resources: AsyncDisposableStack): Promise<Subject<Burst>> {
  const data = resources.use(await makeDataDirectory());
  const image = await (await ImageStore.open(join(data.path, "images"))).resolve("python");
  if (image === undefined) throw new Error("image python is not stored: longshore images build python");
  const bare = await BareImage.open(image, bench.directory, { "main.py": PYTHON_PROGRAM });
  const measure = async (): Promise<Burst> => {
    const command = ["python3", "/work/main.py"];
    const { seconds, cpuTimeMs } = await bare.run(command, BARE_RUNS, availableParallelism());
    return { latencies: [], seconds, jobs: BARE_RUNS, cpuTimes: new Map([["xargs, programs included", cpuTimeMs]]) };
  };
  return { name: PYTHON_BARE, measure };
}

function difference(after: ReadonlyMap<string, number>, before: ReadonlyMap<string, number>): Map<string, number> {
  return new Map([...after].map(([name, time]) => [name, time - (before.get(name) ?? 0)]));
}

const PERCENTILES = [
  { name: "p50", share: 0.5 },
  { name: "p90", share: 0.9 },
  { name: "p99", share: 0.99 },
] as const;

function rateOf(samples: readonly Burst[]): Statistics {
  return summarize(samples.map(({ jobs, seconds }) => jobs / seconds));
}

function latenciesByName(bursts: ReadonlyMap<string, readonly Burst[]>): ReadonlyMap<string, Statistics> {
  const measured = [...bursts].filter(([, samples]) => samples.some(({ latencies }) => latencies.length > 0));
  return new Map(measured.map(([name, samples]) => [name, summarize(latenciesOf(samples))]));
}

/** In ascending order. */
function latenciesOf(samples: readonly Burst[]): readonly number[] {
  return samples.flatMap((sample) => sample.latencies).toSorted((a, b) => a - b);
}

function tabulateLoad(bursts: ReadonlyMap<string, readonly Burst[]>): Table {
  const rows = [...bursts].map(([name, samples]) => {
    const rates = rateOf(samples);
    const latencies = latenciesOf(samples);
    const cells = PERCENTILES.map(({ share }) => (latencies.length === 0 ? "" : quantile(latencies, share).toFixed(1)));
    return { name, cells: [rates.median.toFixed(0), rates.interquartileRange.toFixed(0), ...cells] };
  });
  return {
    title: "Jobs per second, and milliseconds of each",
    columns: ["", "jobs/s", "spread", ...PERCENTILES.map(({ name }) => name)],
    rows,
  };
}

/** Latency against throughput: the more clients, the further right, until there is no more to get. */
function plotLatencies(bursts: ReadonlyMap<string, readonly Burst[]>): Plot {
  const loads = CLIENTS.map((clients) => ({ clients, samples: bursts.get(httpName(clients)) ?? [] }));
  return {
    title: "Latency of a job against jobs per second, by number of clients",
    x: "jobs per second",
    y: "milliseconds",
    series: PERCENTILES.map(({ name, share }) => ({
      name,
      points: loads.map(({ clients, samples }) => ({
        x: rateOf(samples).median,
        y: quantile(latenciesOf(samples), share),
        label: name === "p50" ? String(clients) : undefined,
      })),
    })),
  };
}

function tabulateCpuTime(bursts: ReadonlyMap<string, readonly Burst[]>): Table {
  const processes = [...new Set([...bursts.values()].flat().flatMap(({ cpuTimes }) => cpuTimes.keys().toArray()))];
  const rows = [...bursts].flatMap(([name, samples]) => {
    const jobs = samples.reduce((sum, burst) => sum + burst.jobs, 0);
    const times = processes.map((process) =>
      samples.reduce((sum, { cpuTimes }) => sum + (cpuTimes.get(process) ?? 0), 0),
    );
    return times.every((time) => time === 0) ? [] : [{ name, cells: times.map((time) => (time / jobs).toFixed(2)) }];
  });
  return { title: "CPU time per job, ms", columns: ["", ...processes], rows };
}
