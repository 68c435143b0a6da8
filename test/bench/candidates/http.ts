import { once } from "node:events";
import { Agent, type IncomingMessage, request } from "node:http";
import { text } from "node:stream/consumers";
import { apiProgram, apiUrl, workerProgram } from "../../../infra/start/programs.ts";
import { prepareRedis } from "../../../infra/start/redis.ts";
import { Supervisor } from "../../../infra/start/supervisor.ts";
import { loadConfig } from "../../../shared/config.ts";
import { runJobSchema } from "../../../shared/job.ts";
import { freePort } from "../../support/redis.ts";
import type { Workbench } from "../workbench.ts";
import { type Candidate, tryOut, type Tools } from "./candidate.ts";

const WAIT_SECONDS = 30;
const ID_RANGE = 4;

/** What a client sees: one client, one connection that is kept, one job at a time. */
export const http: Candidate = {
  name: "http",
  measures: "writable root, one client: POST /v1/jobs?wait until the answer is read, through API, Redis and worker",
  async open(tools) {
    const url = new URL(`/v1/jobs?wait=${WAIT_SECONDS}`, await startLongshore(tools));
    const body = JSON.stringify({
      image: tools.bench.image,
      command: [tools.bench.command],
      rootfs: "writable",
    });
    const agent = tools.resources.adopt(new Agent({ keepAlive: true, maxSockets: 1 }), (it) => it.destroy());
    return tryOut(() => post(url, body, agent));
  },
};

/** Redis, API and a worker with one slot, each a process of its own as under `npm start`; answers the API's URL. */
async function startLongshore({ bench, resources }: Tools): Promise<string> {
  const redis = await prepareRedis(bench.dataDirectory);
  const environment = await environmentOf(bench, redis.url);
  const config = loadConfig(environment);
  const supervisor = resources.adopt(new Supervisor((line) => process.stderr.write(`${line}\n`)), (it) => it.stop());
  const programs = [redis.program, apiProgram(config, environment), workerProgram(config, environment)];
  // Stdout is for the report; what they say is quoted when they fail.
  for (const program of programs) await supervisor.start({ ...program, output: "keep" });
  return apiUrl(config);
}

async function environmentOf(bench: Workbench, redisUrl: string): Promise<Record<string, string>> {
  return {
    REDIS_URL: redisUrl,
    LONGSHORE_DATA: bench.dataDirectory,
    LONGSHORE_PORT: String(await freePort()),
    LONGSHORE_METRICS_PORT: "0",
    LONGSHORE_SLOTS: "1",
    LONGSHORE_ID_BASE: String(bench.idBase(ID_RANGE)),
  };
}

/** Posts a job and reads the answer; what the client makes of it is not counted. */
async function post(url: URL, body: string, agent: Agent): Promise<number> {
  const began = process.hrtime.bigint();
  const outgoing = request(url, {
    agent,
    method: "POST",
    headers: { "content-type": "application/json", "content-length": Buffer.byteLength(body) },
  });
  outgoing.end(body);
  const [response] = (await once(outgoing, "response")) as [IncomingMessage];
  const answer = await text(response);
  const elapsed = process.hrtime.bigint() - began;

  if (response.statusCode !== 200) throw new Error(`the api answered ${response.statusCode}: ${answer}`);
  const job = runJobSchema.parse(JSON.parse(answer));
  if (job.state !== "done" || job.result?.exitCode !== 0) throw new Error(`the job did not do its work: ${answer}`);
  return Number(elapsed);
}
