/**
 * Longshore as an operator runs it, on a machine where everything can break:
 *
 *     API ──▶ Redis ◀── worker 1, worker 2         each a process that is started again when it ends
 *      │        │           │         │
 *      └────────┴── small disk ───────┘            redis/, blobs/, one data directory for each worker
 *                           │         │
 *                        cgroup    cgroup          memory and CPU that can be taken away
 *
 * Each program has a wall clock of its own. Jobs write what they do into a ledger that no fault reaches.
 */
import { chmod, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { prepareRedis } from "../../../infra/start/redis.ts";
import { workerSchema } from "../../../shared/workers.ts";
import { freePort } from "../../support/redis.ts";
import { FaultCgroup } from "./cgroup.ts";
import { ClockWorkshop, type ProgramClock } from "./clock.ts";
import { WorkerData } from "./data-directory.ts";
import { SmallDisk } from "./disk.ts";
import { KeptProcess } from "./kept-process.ts";
import { MemoryFileSystem } from "./memory-file-system.ts";
import { until } from "./until.ts";

const ROOT = join(import.meta.dirname, "../../..");

/** Room for what Redis writes of some thousand jobs, twice when it rewrites its file. */
const DISK_BYTES = 1024 ** 3;

/** Of a worker and its containers: several times what it needs. */
const WORKER_MEMORY_BYTES = 768 * 1024 ** 2;

const SLOTS = 2;

/** What the jobs' volume is called. */
export const LEDGER = "ledger";

/** A worker, and what of the machine is its own. */
export interface FaultyWorker {
  readonly process: KeptProcess;
  readonly cgroup: FaultCgroup;
  readonly memoryBytes: number;
  readonly clock: ProgramClock;
  readonly data: WorkerData;
  /** A file that ends the next slot thread which sees it. */
  readonly crashOrder: string;
}

export class FaultyInstallation implements AsyncDisposable {
  /** Everything of it on the machine's disk. */
  readonly directory: string;
  readonly url: string;
  readonly redisUrl: string;
  readonly disk: SmallDisk;
  /** Where memory is taken: a directory on a tmpfs. */
  readonly memory: MemoryFileSystem;
  readonly api: KeptProcess;
  readonly apiClock: ProgramClock;
  readonly redis: { readonly process: KeptProcess; readonly cgroup: FaultCgroup; readonly clock: ProgramClock };
  readonly workers: readonly FaultyWorker[];
  readonly #resources: AsyncDisposableStack;

  private constructor(
    parts: Omit<FaultyInstallation, "ledger" | typeof Symbol.asyncDispose>,
    all: AsyncDisposableStack,
  ) {
    this.directory = parts.directory;
    this.url = parts.url;
    this.redisUrl = parts.redisUrl;
    this.disk = parts.disk;
    this.memory = parts.memory;
    this.api = parts.api;
    this.apiClock = parts.apiClock;
    this.redis = parts.redis;
    this.workers = parts.workers;
    this.#resources = all;
  }

  /**
   * Starts everything, and resolves when two workers take jobs.
   * @param logs directory that gets what the programs print, and stays; one that goes when not given
   */
  static async start(logs?: string): Promise<FaultyInstallation> {
    await using resources = new AsyncDisposableStack();
    const directory = await mkdtemp(join(tmpdir(), "longshore-faults-"));
    resources.defer(() => rm(directory, { recursive: true, force: true }));
    for (const name of ["clocks", "orders"]) await mkdir(join(directory, name));
    const logDirectory = logs ?? join(directory, "logs");
    await mkdir(logDirectory, { recursive: true });
    await mkdir(join(directory, LEDGER));
    // Programs in containers write there, whoever they are.
    await chmod(join(directory, LEDGER), 0o777);
    const disk = resources.use(await SmallDisk.mount(join(directory, "disk"), DISK_BYTES));
    const memory = resources.use(await MemoryFileSystem.mount(join(directory, "memory")));
    const clocks = await ClockWorkshop.open(join(directory, "clocks"));
    const own = (name: string) => ({
      log: join(logDirectory, `${name}.log`),
      clock: clocks.make(name),
      cgroup: resources.use(new FaultCgroup(`longshore-faults-${process.pid}-${name}`)),
    });

    const { program, url: redisUrl } = await prepareRedis(disk.path);
    const redisOwn = own("redis");
    const redis = resources.use(
      new KeptProcess({
        name: "redis",
        command: redisOwn.cgroup.enter(program.command),
        environment: redisOwn.clock.environment,
        ...(program.input === undefined ? {} : { input: program.input }),
        log: redisOwn.log,
      }),
    );

    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    const common = {
      REDIS_URL: redisUrl,
      LONGSHORE_BLOBS: join(disk.path, "blobs"),
      LONGSHORE_VOLUMES: `${LEDGER}=${join(directory, LEDGER)}:rw`,
    };
    const apiClock = clocks.make("api");
    const api = resources.use(
      new KeptProcess({
        name: "api",
        command: [process.execPath, join(ROOT, "services/api/main.ts")],
        environment: {
          ...common,
          ...apiClock.environment,
          LONGSHORE_PORT: String(port),
          LONGSHORE_DATA: join(disk.path, "api"),
        },
        log: join(logDirectory, "api.log"),
      }),
    );

    const workers: FaultyWorker[] = [];
    for (const name of ["worker-1", "worker-2"]) {
      const { log, clock, cgroup } = own(name);
      cgroup.limitMemory(WORKER_MEMORY_BYTES);
      const data = new WorkerData(join(disk.path, name));
      await data.make();
      const crashOrder = join(directory, "orders", name);
      const environment = {
        ...common,
        ...clock.environment,
        LONGSHORE_DATA: data.path,
        LONGSHORE_SLOTS: String(SLOTS),
        LONGSHORE_METRICS_PORT: "0",
        NODE_OPTIONS: `--import ${pathToFileURL(join(import.meta.dirname, "crash-slot.ts")).href}`,
        FAULTS_CRASH_ORDER: crashOrder,
      };
      const command = cgroup.enter([process.execPath, join(ROOT, "worker/main.ts")]);
      const process_ = resources.use(new KeptProcess({ name, command, environment, log }));
      workers.push({ process: process_, cgroup, memoryBytes: WORKER_MEMORY_BYTES, clock, data, crashOrder });
    }
    await until("two workers take jobs", 60_000, async () => (await listWorkers(url)) === workers.length);
    const parts = { directory, url, redisUrl, disk, memory, api, apiClock, workers };
    const redisParts = { process: redis, cgroup: redisOwn.cgroup, clock: redisOwn.clock };
    return new FaultyInstallation({ ...parts, redis: redisParts }, resources.move());
  }

  /** Where jobs write what they do. */
  get ledger(): string {
    return join(this.directory, LEDGER);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

async function listWorkers(url: string): Promise<number> {
  const { workers } = (await (await fetch(`${url}/v1/workers`)).json()) as { workers: unknown[] };
  return workers.filter((worker) => workerSchema.safeParse(worker).success).length;
}
