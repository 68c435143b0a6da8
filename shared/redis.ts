/** Connections to Redis, and what a Redis must be for Longshore to trust it with jobs. */
import { Redis, ReplyError, type RedisOptions } from "ioredis";
import { LongshoreError } from "./errors.ts";

/** Oldest Redis whose commands are used. */
const MINIMUM_VERSION = "6.2";

/**
 * What a connection is for decides what happens while Redis is away.
 *
 * - `producer` (API): every command fails at once, so that a client gets its 503 and not a hang. A command that
 *   was on its way fails too and is not repeated: nobody knows whether it was executed.
 * - `consumer` (worker): commands wait, and those that were on their way are sent again; every script a worker
 *   calls can bear that. BullMQ asks for the same settings.
 * - `subscriber`: as consumer; who uses it subscribes again itself, because it must know when that is done.
 *
 * A connection may also fall silent without being closed, e.g. when a machine in between forgets it: then nothing
 * arrives any more, an error no more than anything else. So a server that owes a reply and sends nothing for the
 * role's `socketTimeout` is treated as gone, and a connection that may have nothing to ask for pings
 * ({@link keepAsking}). TCP's own keep-alive is no substitute: it gives up after minutes, and the kernel of a proxy
 * answers it.
 */
export type ConnectionRole = "producer" | "consumer" | "subscriber";

/** For how long a connection may take to be made, and who has asked may be left without a word, in milliseconds. */
const SILENCE_MS = 2000;

/**
 * The same for a worker, in milliseconds. It is longer, since a result of many megabytes takes its time on the way; and
 * together with the ping's interval short enough for a lock to be renewed in time on the next connection (`renewLock`).
 */
const CONSUMER_SILENCE_MS = 4000;

const PING_MS = 1000;

/** BullMQ lets a command block for 10 s at most, and looks for itself after another one whether it still does. */
const BLOCKING_SILENCE_MS = 12_000;

const roleOptions = {
  producer: {
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    socketTimeout: SILENCE_MS,
  },
  consumer: { maxRetriesPerRequest: null, socketTimeout: CONSUMER_SILENCE_MS },
  subscriber: { maxRetriesPerRequest: null, socketTimeout: SILENCE_MS, autoResubscribe: false },
} as const satisfies Record<ConnectionRole, RedisOptions>;

/** Receives what goes wrong on a connection; ioredis goes on connecting by itself. */
export type ConnectionErrorHandler = (error: Error) => void;

/** Opens a connection, which connects and reconnects by itself until it is told to `disconnect`. */
export function connectRedis(url: string, role: ConnectionRole, onError: ConnectionErrorHandler): Redis {
  const redis = new (role === "producer" ? ProducerConnection : Connection)(url, {
    connectionName: `longshore-${role}`,
    connectTimeout: SILENCE_MS,
    // soon at first, since a restart of Redis takes less than a second; then calmly
    retryStrategy: (times: number) => Math.min(25 * 2 ** Math.min(times, 6), 1000),
    ...roleOptions[role],
  });
  redis.on("error", onError);
  if (role !== "producer") keepAsking(redis);
  return redis;
}

class Connection extends Redis {
  /** BullMQ makes its connection for blocking commands so; a server that lets such a command wait is not gone. */
  override duplicate(overrides?: Partial<RedisOptions>): Redis {
    return super.duplicate({ socketTimeout: BLOCKING_SILENCE_MS, ...overrides });
  }
}

class ProducerConnection extends Connection {
  /**
   * Commands of one turn of the event loop leave together, in their order: in one packet, for which Redis wakes up, reads,
   * writes its log and answers once. ioredis' own `enableAutoPipelining` waits for the replies before it sends more.
   *
   * Not so a worker's: what it sends in one turn is for several jobs, and the first should not wait for the others' replies.
   */
  override sendCommand(...command: Parameters<Redis["sendCommand"]>): unknown {
    const { stream } = this;
    if (this.status === "ready" && stream.writableCorked === 0) {
      stream.cork();
      process.nextTick(() => stream.uncork());
    }
    return super.sendCommand(...command);
  }
}

/** Pings as long as the connection is not closed: to a server that owes nothing no silence can be told from peace. */
function keepAsking(redis: Redis): void {
  const timer = setInterval(() => {
    // What fails does so for the connection's sake, which reports it.
    if (redis.status === "ready") redis.ping().catch(() => undefined);
  }, PING_MS);
  timer.unref();
  redis.once("end", () => clearInterval(timer));
}

/** The server is not fit to hold jobs. */
export class RedisUnfitError extends Error {
  override readonly name = "RedisUnfitError";
}

/**
 * Refuses a Redis that may throw jobs away or does not know the commands. Throws {@link RedisUnfitError}.
 * Reads INFO rather than CONFIG, which managed servers do not offer.
 */
export async function checkRedis(redis: Redis): Promise<void> {
  const information = parseInformation(await redis.info());
  const version = information.get("redis_version") ?? "unknown";
  if (version.localeCompare(MINIMUM_VERSION, "en", { numeric: true }) < 0) {
    throw new RedisUnfitError(`redis version is ${version}: use ${MINIMUM_VERSION} or newer`);
  }
  const policy = information.get("maxmemory_policy") ?? "unknown";
  if (policy !== "noeviction") {
    throw new RedisUnfitError(`redis maxmemory-policy is ${policy}: set it to noeviction`);
  }
}

function parseInformation(text: string): ReadonlyMap<string, string> {
  const fields = text.split("\r\n").map((line) => line.split(":", 2) as [string, string | undefined]);
  return new Map(fields.map(([name, value]) => [name, value ?? ""]));
}

/** Replies of a Redis that is there and cannot do its work now; any other error reply is a mistake of ours. */
const UNAVAILABLE_REPLIES = /^(LOADING|OOM|READONLY|MISCONF|BUSY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|NOREPLICAS)\b/;

/** Runs commands and gives their failure the code that a client is told: `redis_unavailable`. */
export async function withRedis<Result>(commands: () => Promise<Result>): Promise<Result> {
  try {
    return await commands();
  } catch (error) {
    if (error instanceof LongshoreError || isMistake(error)) throw error;
    throw new LongshoreError("redis_unavailable", { cause: error });
  }
}

function isMistake(error: unknown): boolean {
  return error instanceof ReplyError && error instanceof Error && !UNAVAILABLE_REPLIES.test(error.message);
}
