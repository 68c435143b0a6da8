import type { Config } from "../../shared/config.ts";
import { type RunJob, runJobSchema } from "../../shared/job.ts";
import { apiUrl } from "./programs.ts";

const WAIT_SECONDS = 60;
/** Of its time, and of its CPU time: it reads Python for the first time since the machine was started, if need be. */
const LIMIT_MS = 30_000;

/** Says where it runs: in a container that has one process, a host name and a user of its own. */
const PROGRAM = `
import os, platform, socket
print(f"Hello from Python {platform.python_version()}: process {os.getpid()}, user {os.getuid()}, host {socket.gethostname()}")
`;

/** Sends one job the way a client does, and says what came back. Throws when it was not done. */
export async function runFirstJob(config: Config, say: (line: string) => void): Promise<void> {
  if (config.apiKeys.length > 0 && config.apiKey === undefined) {
    say("no first job: LONGSHORE_API_KEYS asks for a key, and LONGSHORE_API_KEY holds none");
    return;
  }
  say("running a first job");
  const job = await post(config);
  const { result } = job;
  if (job.state !== "done" || result?.outcome !== "exited" || result.exitCode !== 0) {
    throw new Error(`the first job did not succeed: ${JSON.stringify(job.error ?? result ?? job.state)}`);
  }
  process.stdout.write(result.stdout.content);
  const { prepareMs, runMs } = result.timings;
  say(`it took ${prepareMs.toFixed(1)} ms to make its container, and ${runMs.toFixed(1)} ms to run`);
}

async function post(config: Config): Promise<RunJob> {
  const response = await fetch(`${apiUrl(config)}/v1/jobs?wait=${WAIT_SECONDS}`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(config.apiKey === undefined ? {} : { authorization: `Bearer ${config.apiKey}` }),
    },
    body: JSON.stringify({
      language: "python",
      source: PROGRAM,
      limits: {
        cpuTimeMs: Math.min(LIMIT_MS, config.maxima.cpuTimeMs),
        wallTimeMs: Math.min(LIMIT_MS, config.maxima.wallTimeMs),
      },
    }),
  });
  if (!response.ok) throw new Error(`the first job was refused: ${response.status} ${await response.text()}`);
  return runJobSchema.parse(await response.json());
}
