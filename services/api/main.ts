/** The API as a process: reads the configuration, checks Redis, listens, stops when it is told to. */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { ConfigError, loadConfig, type Config } from "../../shared/config.ts";
import { createLogger, type Logger } from "../../shared/log.ts";
import { loadPresets, SHIPPED_IMAGES } from "../../shared/presets.ts";
import { checkRedis, RedisUnfitError } from "../../shared/redis.ts";
import { createApi, type Api } from "./api.ts";
import { limitUnread } from "./limit-unread.ts";

/** For how long answers that are under way may take once the process is told to stop. */
const STOP_MS = 5000;

/** For how long a request may be on its way here: a blob of a gigabyte takes a slow line half an hour. */
const REQUEST_MS = 3_600_000;

/** Prints what is wrong, without a stack, and ends the process: for faults that the operator can mend. */
function refuse(message: string): never {
  process.stderr.write(`${message.replaceAll(/^/gm, "longshore api: ")}\n`);
  process.exit(1);
}

function readConfig(): Config {
  try {
    return loadConfig(process.env);
  } catch (error) {
    if (error instanceof ConfigError) refuse(error.message);
    throw error;
  }
}

/**
 * A Redis that may throw jobs away is refused, at the start and whenever another one answers. One that is away
 * is waited for: until then every request that needs it is answered with 503.
 */
async function checkRedisWhenReady({ redis }: Api, logger: Logger): Promise<void> {
  const check = async (): Promise<void> => {
    try {
      await checkRedis(redis);
    } catch (error) {
      if (error instanceof RedisUnfitError) refuse(error.message);
      logger.warn({ err: error }, "redis could not be checked");
    }
  };
  redis.on("ready", () => void check());
  await new Promise<void>((resolve) => {
    redis.once("ready", () => resolve());
    redis.once("error", () => resolve());
  });
  if (redis.status === "ready") await check();
}

async function listen(server: Server, { host, port }: Config): Promise<string> {
  server.listen(port, host);
  try {
    await once(server, "listening");
  } catch (error) {
    refuse(`cannot listen on ${host}, port ${port}: ${String(error)}; set LONGSHORE_HOST and LONGSHORE_PORT`);
  }
  const address = server.address();
  const actualPort = typeof address === "object" && address !== null ? address.port : port;
  return `http://${host.includes(":") ? `[${host}]` : host}:${actualPort}`;
}

/** Takes no new requests, answers those that wait for a job, and lets the others end. */
async function stop(server: Server, api: Api, logger: Logger): Promise<void> {
  logger.info("stopping");
  api.stopWaiting();
  const closed = once(server, "close");
  server.close();
  const deadline = setTimeout(() => server.closeAllConnections(), STOP_MS);
  await closed;
  clearTimeout(deadline);
  await api.close();
}

const config = readConfig();
const logger = createLogger("api", config.logLevel);
const api = createApi({ config, logger, presets: loadPresets(SHIPPED_IMAGES) });
await checkRedisWhenReady(api, logger);
const server = createServer({ requestTimeout: REQUEST_MS }, api.app);
limitUnread(server);
const url = await listen(server, config);
logger.info({ url, access: config.apiKeys.length > 0 ? "keys" : "loopback only" }, describeAccess(url, config));

for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => void stop(server, api, logger));

function describeAccess(url: string, { apiKeys }: Config): string {
  return apiKeys.length > 0
    ? `listening on ${url}`
    : `listening on ${url}, for this machine only: set LONGSHORE_API_KEYS to serve others`;
}
