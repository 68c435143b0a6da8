/** What the routes of one API have in common. */
import type { Redis } from "ioredis";
import { StorageAccess } from "../../shared/blobs/access.ts";
import { Blobs } from "../../shared/blobs/blobs.ts";
import { openBlobStorage } from "../../shared/blobs/open-storage.ts";
import type { Config } from "../../shared/config.ts";
import { createJobRequestSchema, type JobRequestSchema } from "../../shared/job-request.ts";
import { ImageCatalog } from "../../shared/image-catalog.ts";
import { ImageOrders } from "../../shared/image-orders.ts";
import { JobEvents } from "../../shared/job-events.ts";
import { JobSignals } from "../../shared/job-signals.ts";
import { JobStore } from "../../shared/job-store.ts";
import type { Logger } from "../../shared/log.ts";
import type { Presets } from "../../shared/presets.ts";
import { JobQueue } from "../../shared/queue.ts";
import { connectRedis, type ConnectionRole } from "../../shared/redis.ts";
import { Submitter } from "../../shared/submit.ts";
import { WorkerRegistry } from "../../shared/workers.ts";
import { createApiMetrics, type ApiMetrics } from "./api-metrics.ts";
import { FinishedJobs } from "./events/finished-jobs.ts";
import { type RedisRoom, watchRedisRoom } from "./redis-room.ts";
import { sweepBlobs } from "./sweep-blobs.ts";

export interface ApiOptions {
  readonly config: Config;
  readonly logger: Logger;
  readonly presets: Presets;
  /** For how long a reader of events may take nothing before it is cut off, in milliseconds; two minutes unless stated. */
  readonly readerPatienceMs?: number;
}

export interface ApiContext extends ApiOptions, AsyncDisposable {
  readonly redis: Redis;
  readonly store: JobStore;
  readonly queue: JobQueue;
  readonly room: RedisRoom;
  readonly submitter: Submitter;
  /** Of the channel on which finished jobs are published. */
  readonly finished: JobSignals;
  readonly events: JobEvents;
  /** Of the channel on which watched jobs are published in which something happened. */
  readonly news: JobSignals;
  /** Those that are being sent to their watchers. */
  readonly finishedJobs: FinishedJobs;
  readonly blobs: Blobs;
  /** Tells other processes of the installation from everybody else. */
  readonly access: StorageAccess;
  readonly workers: WorkerRegistry;
  readonly imageCatalog: ImageCatalog;
  readonly imageOrders: ImageOrders;
  /** Of the channel on which answers to orders about images are published. */
  readonly imageAnswers: JobSignals;
  readonly metrics: ApiMetrics;
  readonly requestSchema: JobRequestSchema;
  /** Aborted when the API is about to stop: who waits is answered. */
  readonly closing: AbortSignal;
  /** Aborts {@link closing}. */
  stopWaiting(): void;
}

/** Opens the connections; they come up, and come back, by themselves. */
export function createContext(options: ApiOptions): ApiContext {
  const { config, logger } = options;
  const connect = (role: ConnectionRole): Redis => connectAndReport(config.redisUrl, role, logger);
  const redis = connect("producer");
  const subscriber = connect("subscriber");
  const storage = openBlobStorage(config, redis);
  const blobs = new Blobs({ redis, queue: config.queue, storage, bytesMax: config.blobBytes });
  const sweep = sweepBlobs(blobs, config.blobTtlSeconds, logger);
  const room = watchRedisRoom(redis);
  const store = new JobStore({ redis, queue: config.queue, resultTtlSeconds: config.resultTtlSeconds, blobs });
  const queue = new JobQueue({ redis, queue: config.queue, attempts: config.attempts });
  const finished = new JobSignals(subscriber, redis, store.keys.finishedChannel);
  const news = new JobSignals(subscriber, redis, store.keys.newsChannel);
  const imageOrders = new ImageOrders(redis, config.queue);
  const imageAnswers = new JobSignals(subscriber, redis, imageOrders.answerChannel);
  const closing = new AbortController();
  return {
    ...options,
    redis,
    store,
    queue,
    room,
    submitter: new Submitter(store, queue, config.queueLimit),
    finished,
    events: new JobEvents({ redis, queue: config.queue }),
    news,
    finishedJobs: new FinishedJobs(store),
    blobs,
    access: new StorageAccess(redis, config.queue),
    workers: new WorkerRegistry(redis, config.queue),
    imageCatalog: new ImageCatalog(redis, config.queue),
    imageOrders,
    imageAnswers,
    metrics: createApiMetrics({ redis, queue: config.queue, waiting: () => finished.size }),
    requestSchema: createJobRequestSchema(config.maxima),
    closing: closing.signal,
    stopWaiting: () => closing.abort(),
    async [Symbol.asyncDispose]() {
      closing.abort();
      finished[Symbol.dispose]();
      news[Symbol.dispose]();
      imageAnswers[Symbol.dispose]();
      sweep[Symbol.dispose]();
      room[Symbol.dispose]();
      blobs[Symbol.dispose]();
      await queue[Symbol.asyncDispose]();
      redis.disconnect();
      subscriber.disconnect();
    },
  };
}

/** Says once that Redis is away, and once that it is back; a connection tries again every second. */
function connectAndReport(url: string, role: ConnectionRole, logger: Logger): Redis {
  let state: "up" | "away" = "up";
  const redis = connectRedis(url, role, (error) => {
    if (state === "up") logger.warn({ err: error, role }, "redis is away");
    state = "away";
  });
  redis.on("ready", () => {
    if (state === "away") logger.info({ role }, "redis is back");
    state = "up";
  });
  return redis;
}
