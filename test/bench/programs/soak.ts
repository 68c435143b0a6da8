/** Whether anything grows while all of Longshore does job after job: memory, descriptors, cgroups, mounts, Redis. */
import { globSync } from "node:fs";
import { availableParallelism } from "node:os";
import { Redis } from "ioredis";
import { loadConfig } from "../../../shared/config.ts";
import { WorkerRegistry } from "../../../shared/workers.ts";
import { workerCgroups } from "../../support/worker-cgroups.ts";
import type { BenchProgram, ProgramOptions } from "../bench-program.ts";
import { benchJob, Client, startLongshore } from "../longshore.ts";
import { footprintsOfChildren } from "../processes.ts";
import { accountOf } from "../redis-account.ts";
import type { Findings, Row } from "../report.ts";
import type { Workbench } from "../workbench.ts";

const SUBJECT = "jobs";

const CLIENTS = 8;

/** Looks at everything, the last one included. */
const LOOKS = 20;

/** Results expire on the way, as they do for an operator; else Redis would grow with them. */
const RESULT_TTL_SECONDS = 10;

const MiB = 1024 * 1024;

/** `npm run bench -- soak` */
export const soak: BenchProgram = {
  name: "soak",
  title: "What grows with the number of jobs",
  summary: "memory, descriptors, cgroups, mounts and Redis over 100,000 jobs; a round is a job",
  subjects: [SUBJECT],
  rounds: { count: 100_000, warmUp: 5000 },
  run,
};

async function run(bench: Workbench, { rounds, warmUp, signal, onRound }: ProgramOptions): Promise<Findings> {
  await using resources = new AsyncDisposableStack();
  const slots = availableParallelism();
  const settings = { LONGSHORE_SLOTS: String(slots), LONGSHORE_RESULT_TTL_SECONDS: String(RESULT_TTL_SECONDS) };
  const { url, redisUrl } = await startLongshore(bench, resources, { settings });
  const redis = resources.adopt(new Redis(redisUrl), (it) => it.disconnect());
  const clients = Array.from({ length: CLIENTS }, () => resources.use(new Client(url, benchJob(bench))));

  /** Runs so many jobs; answers how many a second. */
  const runJobs = async (count: number): Promise<number> => {
    let left = count;
    const began = performance.now();
    const work = async (client: Client): Promise<void> => {
      while (left-- > 0) {
        signal.throwIfAborted();
        await client.post();
      }
    };
    await Promise.all(clients.map(work));
    return (count * 1000) / (performance.now() - began);
  };

  await runJobs(warmUp);
  const rows: Row[] = [];
  const columns = ["jobs", "jobs/s", ...headings] as const;
  const { queue } = loadConfig({});
  for (let done = 0, looks = 1; looks <= LOOKS; looks++) {
    const count = Math.floor((rounds * looks) / LOOKS) - done;
    const rate = await runJobs(count);
    done += count;
    onRound(done);
    rows.push({ name: String(warmUp + done), cells: [rate.toFixed(0), ...(await look(redis, queue))] });
  }
  return {
    tables: [{ title: "After so many jobs", columns, rows }],
    notes: [
      `${CLIENTS} clients, ${slots} slots; results are kept for ${RESULT_TTL_SECONDS} s.`,
      "Resident memory is that of the processes; Redis's data is what it counts itself (used_memory_dataset).",
      "Mounts are those that the worker's threads see, all together; cgroups those below the worker's.",
    ],
    data: { columns, rows },
  };
}

const PROCESSES = ["worker, containers included", "API", "Redis"] as const;

const headings = [
  "worker MiB",
  "descriptors",
  "API MiB",
  "descriptors",
  "Redis MiB",
  "descriptors",
  "Redis data MiB",
  "keys",
  "worker's mounts",
  "cgroups",
];

async function look(redis: Redis, queue: string): Promise<string[]> {
  const footprints = footprintsOfChildren();
  const ofProcesses = PROCESSES.flatMap((name) => {
    const footprint = footprints.get(name);
    if (footprint === undefined) throw new Error(`${name} is not running`);
    return [(footprint.residentBytes / MiB).toFixed(1), String(footprint.descriptors)];
  });
  const { memoryBytes } = await accountOf(redis);
  const workers = await new WorkerRegistry(redis, queue).list();
  const cgroups = workers.flatMap(({ id }) => workerCgroups(id)).flatMap((root) => globSync(`${root}/**/`));
  return [
    ...ofProcesses,
    (memoryBytes / MiB).toFixed(2),
    String(await redis.dbsize()),
    String(footprints.get(PROCESSES[0])?.mounts),
    String(cgroups.length),
  ];
}
