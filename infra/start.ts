/**
 * `npm start`: everything on one machine. Runs Redis (unless REDIS_URL names one), the API and a worker, sends a first
 * job through all of them, prints what it printed, and serves until Ctrl-C.
 */
import { styleText } from "node:util";
import { type Config, ConfigError, loadConfig } from "../shared/config.ts";
import { runFirstJob } from "./start/first-job.ts";
import { requireFreePort } from "./start/ports.ts";
import { apiProgram, apiUrl, workerProgram } from "./start/programs.ts";
import { prepareRedis } from "./start/redis.ts";
import { Supervisor } from "./start/supervisor.ts";
import { syncAppended } from "./start/sync-appended.ts";

function say(line: string): void {
  process.stderr.write(`${styleText("bold", "longshore:", { stream: process.stderr })} ${line}\n`);
}

async function startEverything(supervisor: Supervisor, config: Config, resources: AsyncDisposableStack): Promise<void> {
  await requireFreePort(config.host, config.port);
  let environment: Record<string, string> = {};
  if (!process.env["REDIS_URL"]) {
    const redis = await prepareRedis(config.dataDirectory);
    say(`starting redis, with its data in ${config.dataDirectory}/redis`);
    await supervisor.start(redis.program);
    resources.use(
      syncAppended(redis.directory, (error) => say(`redis' data cannot be brought to the disk: ${String(error)}`)),
    );
    environment = { REDIS_URL: redis.url };
  }
  say("starting the api");
  await supervisor.start(apiProgram(config, environment));
  say("starting a worker");
  await supervisor.start(workerProgram(config, environment));
  await runFirstJob(config, say);
  say(`serving on ${apiUrl(config)} (docs: ${apiUrl(config)}/docs); stop with Ctrl-C`);
}

async function main(): Promise<number> {
  const config = loadConfig(process.env);
  const supervisor = new Supervisor(say);
  const stop = Promise.withResolvers<number>();
  let signals = 0;
  const onSignal = (signal: NodeJS.Signals) => {
    signals += 1;
    if (signals > 1) return supervisor.kill();
    say(`${signal}: stopping; running jobs have ${config.drainMs / 1000} s, a second signal ends them at once`);
    stop.resolve(0);
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, onSignal);
  void supervisor.failed.then((reason) => {
    say(reason);
    stop.resolve(1);
  });
  await using resources = new AsyncDisposableStack();
  startEverything(supervisor, config, resources).catch((error: unknown) => {
    // A start that a signal cut short is no failure.
    if (signals === 0) say(error instanceof Error ? error.message : String(error));
    stop.resolve(1);
  });
  const exitCode = await stop.promise;
  await supervisor.stop();
  return exitCode;
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof ConfigError)) throw error;
  for (const fault of error.faults) say(fault);
  process.exitCode = 1;
}
