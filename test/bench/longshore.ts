/** All of Longshore, as `npm start` has it, and its clients. */
import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { Client as Connection } from "undici";
import { apiProgram, apiUrl, workerProgram } from "../../infra/start/programs.ts";
import { prepareRedis } from "../../infra/start/redis.ts";
import { type Program, Supervisor } from "../../infra/start/supervisor.ts";
import { loadConfig } from "../../shared/config.ts";
import { runJobSchema } from "../../shared/job.ts";
import { freePort } from "../support/redis.ts";
import type { Workbench } from "./workbench.ts";

const WAIT_SECONDS = 30;

/** What the programs of an installation are told. */
export interface LongshoreOptions {
  /** More of their environment. */
  readonly settings?: Readonly<Record<string, string>>;
  /** How many; 1 unless given. */
  readonly workers?: number;
}

/** Where an installation is reached. */
export interface Longshore {
  readonly url: string;
  readonly redisUrl: string;
}

/**
 * Redis, API and workers, each a process of its own. A worker has one slot and the bench's image, unless `settings`
 * say something else.
 */
export async function startLongshore(
  bench: Workbench,
  resources: AsyncDisposableStack,
  { settings = {}, workers = 1 }: LongshoreOptions = {},
): Promise<Longshore> {
  const redis = await prepareRedis(await mkdtemp(join(bench.directory, "redis-")));
  const environment = {
    REDIS_URL: redis.url,
    LONGSHORE_DATA: bench.dataDirectory,
    LONGSHORE_PORT: String(await freePort()),
    LONGSHORE_METRICS_PORT: "0",
    LONGSHORE_SLOTS: "1",
    ...settings,
  };
  const config = loadConfig(environment);
  const supervisor = resources.adopt(new Supervisor((line) => process.stderr.write(`${line}\n`)), (it) => it.stop());
  const worker = workerProgram(config, environment);
  const programs: readonly Program[] = [
    redis.program,
    apiProgram(config, environment),
    ...Array.from({ length: workers }, () => worker),
  ];
  // Stdout is for the report; what they say is quoted when they fail.
  for (const program of programs) await supervisor.start({ ...program, output: "keep" });
  return { url: apiUrl(config), redisUrl: redis.url };
}

/** From when to when a client waited, on the machine's monotonic clock in nanoseconds. */
export interface Visit {
  readonly sent: bigint;
  readonly answered: bigint;
}

/**
 * One client with one connection that is kept: it posts one job at a time, and waits for the answer. It shares the cores with
 * what it measures, so it is one that takes little of them.
 */
export class Client implements Disposable {
  readonly #connection: Connection;
  readonly #body: string;

  /** @param job what is posted, again and again; it has to end with exit code 0 */
  constructor(apiUrl: string, job: object) {
    this.#connection = new Connection(apiUrl);
    this.#body = JSON.stringify(job);
  }

  /** Posts the job and reads the answer; what the client makes of it is not counted. @throws when the job failed */
  async post(): Promise<Visit> {
    const sent = process.hrtime.bigint();
    const { statusCode, body } = await this.#connection.request({
      method: "POST",
      path: `/v1/jobs?wait=${WAIT_SECONDS}`,
      headers: { "content-type": "application/json" },
      body: this.#body,
    });
    const answer = await body.text();
    const answered = process.hrtime.bigint();

    if (statusCode !== 200) throw new Error(`the api answered ${statusCode}: ${answer}`);
    const job = runJobSchema.parse(JSON.parse(answer));
    if (job.state !== "done" || job.result?.exitCode !== 0) throw new Error(`the job did not do its work: ${answer}`);
    return { sent, answered };
  }

  [Symbol.dispose](): void {
    void this.#connection.destroy();
  }
}

/** The bench's program, as a job. */
export function benchJob(bench: Workbench): object {
  return { image: bench.image, command: [bench.command], rootfs: "writable" };
}
