/** All of Longshore, as `npm start` has it, and one client. */
import { once } from "node:events";
import { Agent, type IncomingMessage, request } from "node:http";
import { text } from "node:stream/consumers";
import { apiProgram, apiUrl, workerProgram } from "../../infra/start/programs.ts";
import { prepareRedis } from "../../infra/start/redis.ts";
import { Supervisor } from "../../infra/start/supervisor.ts";
import { loadConfig } from "../../shared/config.ts";
import { runJobSchema } from "../../shared/job.ts";
import { freePort } from "../support/redis.ts";
import type { Workbench } from "./workbench.ts";

const WAIT_SECONDS = 30;

/**
 * Redis, API and a worker with one slot, each a process of its own.
 * @param idRange the range of user ids for the slot
 * @param settings more of the environment
 * @returns the API's URL
 */
export async function startLongshore(
  bench: Workbench,
  resources: AsyncDisposableStack,
  idRange: number,
  settings: Readonly<Record<string, string>> = {},
): Promise<string> {
  const redis = await prepareRedis(bench.dataDirectory);
  const environment = {
    REDIS_URL: redis.url,
    LONGSHORE_DATA: bench.dataDirectory,
    LONGSHORE_PORT: String(await freePort()),
    LONGSHORE_METRICS_PORT: "0",
    LONGSHORE_SLOTS: "1",
    LONGSHORE_ID_BASE: String(bench.idBase(idRange)),
    ...settings,
  };
  const config = loadConfig(environment);
  const supervisor = resources.adopt(new Supervisor((line) => process.stderr.write(`${line}\n`)), (it) => it.stop());
  const programs = [redis.program, apiProgram(config, environment), workerProgram(config, environment)];
  // Stdout is for the report; what they say is quoted when they fail.
  for (const program of programs) await supervisor.start({ ...program, output: "keep" });
  return apiUrl(config);
}

/** From when to when a client waited, on the machine's monotonic clock in nanoseconds. */
export interface Visit {
  readonly sent: bigint;
  readonly answered: bigint;
}

/** One client with one connection that is kept: it posts the bench's program, and waits for the answer. */
export class Client implements Disposable {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #url: URL;
  readonly #body: string;

  constructor(apiUrl: string, bench: Workbench) {
    this.#url = new URL(`/v1/jobs?wait=${WAIT_SECONDS}`, apiUrl);
    this.#body = JSON.stringify({ image: bench.image, command: [bench.command], rootfs: "writable" });
  }

  /** Posts a job and reads the answer; what the client makes of it is not counted. @throws when the job failed */
  async post(): Promise<Visit> {
    const sent = process.hrtime.bigint();
    const outgoing = request(this.#url, {
      agent: this.#agent,
      method: "POST",
      headers: { "content-type": "application/json", "content-length": Buffer.byteLength(this.#body) },
    });
    outgoing.end(this.#body);
    const [response] = (await once(outgoing, "response")) as [IncomingMessage];
    const answer = await text(response);
    const answered = process.hrtime.bigint();

    if (response.statusCode !== 200) throw new Error(`the api answered ${response.statusCode}: ${answer}`);
    const job = runJobSchema.parse(JSON.parse(answer));
    if (job.state !== "done" || job.result?.exitCode !== 0) throw new Error(`the job did not do its work: ${answer}`);
    return { sent, answered };
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}
