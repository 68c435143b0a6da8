/**
 * The worker as a process: reads the configuration, runs until it is told to stop, drains.
 *
 *   SIGTERM, SIGINT   no new jobs; running ones have LONGSHORE_DRAIN_MS, then they go back to the queue
 *   a second one      ends at once; containers die with the process, and their jobs are taken up by others
 *
 * When its data directory is removed it drains, too, and ends with 1: whoever starts it again has it made again.
 */
import { flushCompileCache } from "node:module";
import { ConfigError, loadConfig, type Config } from "../shared/config.ts";
import { createLogger } from "../shared/log.ts";
import { returnFreeMemory } from "./linux/heap.ts";
import { startWorker } from "./worker.ts";

/** What it takes, after the deadline, to end containers, to give jobs back and to close connections. */
const FAREWELL_MS = 5000;

/** Prints what is wrong, without a stack, and ends the process: for faults that the operator can mend. */
function refuse(error: unknown): never {
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`${message.replaceAll(/^/gm, "longshore worker: ")}\n`);
  process.exit(1);
}

function readConfig(): Config {
  try {
    return loadConfig(process.env);
  } catch (error) {
    if (error instanceof ConfigError) refuse(error);
    throw error;
  }
}

const config = readConfig();
const logger = createLogger("worker", config.logLevel);
const told = Promise.withResolvers<NodeJS.Signals>();
let signals = 0;
for (const name of ["SIGTERM", "SIGINT"] as const) {
  process.on(name, () => {
    signals += 1;
    if (signals > 1) process.exit(1);
    told.resolve(name);
  });
}

const starting = startWorker(config, logger);
const started = await Promise.race([starting.catch(refuse), told.promise.then(() => undefined)]);
// Told to stop before it began, e.g. while it waited for Redis: it has no jobs.
if (started === undefined) process.exit(0);

logger.info({ worker: started.id, slots: config.slots, metricsPort: started.metricsPort }, "taking jobs");
// Else it is written at an exit, which not every worker comes to.
flushCompileCache();
returnFreeMemory();
const reason = await Promise.race([told.promise, started.directoryRemoved.then((path) => ({ removed: path }))]);
if (typeof reason === "object") {
  process.exitCode = 1;
  process.stderr.write(`longshore worker: ${reason.removed} was removed: stopping, start the worker again\n`);
}
logger.info({ reason, drainMs: config.drainMs }, "draining");
setTimeout(() => {
  logger.error("could not stop in time, e.g. because redis is away: running jobs will be taken up by others");
  process.exit(1);
}, config.drainMs + FAREWELL_MS).unref();
await started.drain(AbortSignal.timeout(config.drainMs));
logger.info("stopped");
