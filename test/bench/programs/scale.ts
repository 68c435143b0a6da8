/**
 * What more workers bring, and what each job costs Redis, which all of them share. The jobs sleep, so that one machine
 * can stand for several.
 */
import { Redis } from "ioredis";
import { loadConfig } from "../../../shared/config.ts";
import type { BenchProgram, ProgramOptions } from "../bench-program.ts";
import { Client, type Longshore, startLongshore } from "../longshore.ts";
import { accountOf, difference, type RedisAccount } from "../redis-account.ts";
import type { Findings, Table } from "../report.ts";
import { interleave } from "../rounds.ts";
import { type Statistics, summarize } from "../statistics.ts";
import type { Workbench } from "../workbench.ts";

const WORKERS = [1, 2, 4] as const;

const SLOTS = 4;

const SLEEP_MS = 250;

/** Of each slot in one round: enough for the first and the last to weigh little. */
const JOBS_PER_SLOT = 6;

/** Jobs whose place in Redis is measured, while no worker takes them. */
const WAITING_JOBS = 2000;

const WAITING = "waiting";

/** `npm run bench -- scale` */
export const scale: BenchProgram = {
  name: "scale",
  title: "More workers",
  summary: "jobs per second with 1, 2 and 4 workers, and what a job costs Redis; needs the image bash",
  subjects: [...WORKERS.map(nameOf), WAITING],
  rounds: { count: 5, warmUp: 1 },
  run,
};

interface Round {
  readonly jobsPerSecond: number;
  /** Of one job. */
  readonly account: RedisAccount;
}

const job = { image: "bash", command: ["sleep", String(SLEEP_MS / 1000)] };

async function run(bench: Workbench, options: ProgramOptions): Promise<Findings> {
  await using resources = new AsyncDisposableStack();
  const isWanted = (name: string): boolean => options.only?.includes(name) ?? true;
  const settings = { LONGSHORE_SLOTS: String(SLOTS), LONGSHORE_DATA: loadConfig({}).dataDirectory };
  const subjects = [];
  for (const workers of WORKERS.filter((count) => isWanted(nameOf(count)))) {
    const longshore = await startLongshore(bench, resources, { settings, workers });
    const redis = resources.adopt(new Redis(longshore.redisUrl), (it) => it.disconnect());
    subjects.push({ name: nameOf(workers), measure: () => measure(longshore, redis, workers) });
  }
  const rounds = await interleave(subjects, options);
  const waiting = isWanted(WAITING) ? await measureWaiting(bench) : undefined;
  const rates = new Map([...rounds].map(([name, samples]) => [name, rateOf(samples)]));
  const accounts = [...rounds.values()].flat().map(({ account }) => account);
  return {
    tables: [tabulateRates(rates), tabulateCosts(accounts, waiting)],
    notes: [
      `Each worker has ${SLOTS} slots, each job sleeps for ${SLEEP_MS} ms: ideal is ${(SLOTS * 1000) / SLEEP_MS} jobs a second for each worker.`,
      "Redis's figures are the differences of its own (INFO) divided by the jobs, with heartbeats and all else in them.",
    ],
    data: {
      rounds: [...rounds].map(([name, samples]) => ({ name, samples })),
      waiting,
    },
  };
}

function nameOf(workers: number): string {
  return `${workers} ${workers === 1 ? "worker" : "workers"}`;
}

/** As many clients as slots, each with one job at a time: nothing waits, and nothing idles but for the way. */
async function measure({ url }: Longshore, redis: Redis, workers: number): Promise<Round> {
  using resources = new DisposableStack();
  const clients = Array.from({ length: workers * SLOTS }, () => resources.use(new Client(url, job)));
  const before = await accountOf(redis);
  const began = performance.now();
  await Promise.all(
    clients.map(async (client) => {
      for (let count = 0; count < JOBS_PER_SLOT; count++) await client.post();
    }),
  );
  const seconds = (performance.now() - began) / 1000;
  const jobs = clients.length * JOBS_PER_SLOT;
  return { jobsPerSecond: jobs / seconds, account: difference(await accountOf(redis), before, jobs) };
}

/** Bytes of Redis's memory that a waiting job takes; no worker is there to take it. */
async function measureWaiting(bench: Workbench): Promise<number> {
  await using resources = new AsyncDisposableStack();
  const { url, redisUrl } = await startLongshore(bench, resources, { workers: 0 });
  const redis = resources.adopt(new Redis(redisUrl), (it) => it.disconnect());
  const post = async (): Promise<void> => {
    const headers = { "content-type": "application/json" };
    const response = await fetch(`${url}/v1/jobs`, { method: "POST", headers, body: JSON.stringify(job) });
    if (response.status !== 202) throw new Error(`the api answered ${response.status}: ${await response.text()}`);
    await response.body?.cancel();
  };
  await post();
  const before = await accountOf(redis);
  for (let count = 0; count < WAITING_JOBS; count++) await post();
  return difference(await accountOf(redis), before, WAITING_JOBS).memoryBytes;
}

function rateOf(samples: readonly Round[]): Statistics {
  return summarize(samples.map(({ jobsPerSecond }) => jobsPerSecond));
}

function tabulateRates(rates: ReadonlyMap<string, Statistics>): Table {
  const single = rates.get(nameOf(1))?.median;
  return {
    title: "Jobs per second",
    columns: ["", "jobs/s", "spread", "against one worker"],
    rows: [...rates].map(([name, { median, interquartileRange }]) => ({
      name,
      cells: [
        median.toFixed(1),
        interquartileRange.toFixed(1),
        single === undefined ? "" : `${(median / single).toFixed(2)}×`,
      ],
    })),
  };
}

function tabulateCosts(accounts: readonly RedisAccount[], waiting: number | undefined): Table {
  const rows = Object.entries(costs).flatMap(([name, read]) => {
    const values = accounts.map(read);
    return values.length === 0
      ? []
      : [{ name, cells: [summarize(values).median.toFixed(name === "CPU time, ms" ? 3 : 0)] }];
  });
  if (waiting !== undefined) rows.push({ name: "memory while it waits, bytes", cells: [waiting.toFixed(0)] });
  return { title: "What a job costs Redis", columns: ["", "per job"], rows };
}

const costs: Readonly<Record<string, (account: RedisAccount) => number>> = {
  "commands, those of scripts included": ({ commands }) => commands,
  "bytes received": ({ bytesIn }) => bytesIn,
  "bytes sent": ({ bytesOut }) => bytesOut,
  "CPU time, ms": ({ cpuTimeMs }) => cpuTimeMs,
};
