/**
 * A worker: queue, slots, images and metrics put together.
 *
 *   Redis ◀── commands ─── Consumer ─▶ Attempt ─▶ SlotPool ─▶ slot threads ─▶ containers
 *         ◀── subscriber ── requests ─────┘
 *         ◀── heartbeat, reconciliation
 *
 * Everything here is on the main thread and waits for others; nothing blocks it, or locks would be lost.
 */
import { mkdir } from "node:fs/promises";
import { hostname, release } from "node:os";
import { join } from "node:path";
import type { Redis } from "ioredis";
import { Blobs } from "../shared/blobs/blobs.ts";
import { openBlobStorage } from "../shared/blobs/open-storage.ts";
import type { Config } from "../shared/config.ts";
import { ImageCatalog } from "../shared/image-catalog.ts";
import { ImageOrders } from "../shared/image-orders.ts";
import { JobEvents } from "../shared/job-events.ts";
import { JobSignals } from "../shared/job-signals.ts";
import { JobStore } from "../shared/job-store.ts";
import type { Logger } from "../shared/log.ts";
import { loadPresets, SHIPPED_IMAGES } from "../shared/presets.ts";
import { JobQueue } from "../shared/queue.ts";
import { Reconciler } from "../shared/reconcile.ts";
import { ShardStore } from "../shared/shard-store.ts";
import { checkRedis, connectRedis } from "../shared/redis.ts";
import { version } from "../shared/version.ts";
import { HEARTBEAT_MS, type WorkerInfo, WorkerRegistry } from "../shared/workers.ts";
import { describedImage, summarizeImage } from "./announcement.ts";
import { detectCgroups } from "./cgroup/detect.ts";
import { Consumer } from "./consumer.ts";
import { DirectoryWatch } from "./data-directory.ts";
import { initLayerPath } from "./container/init-layer.ts";
import { ContainerRuntime } from "./container/runtime.ts";
import { CoreLease } from "./cores.ts";
import { insistOnVolumes } from "./doctor/volumes.ts";
import { isWorkerName, WorkerIdentity } from "./identity.ts";
import { BuildLayers } from "./images/builds/build-layers.ts";
import { collectGarbage } from "./images/garbage.ts";
import { InputLayers } from "./images/inputs/input-layers.ts";
import { ImagePuller } from "./images/registry/puller.ts";
import { registrySettings } from "./images/registry/settings.ts";
import { ImageStore, type StoredImage } from "./images/store.ts";
import { clearLeftovers } from "./images/sweep.ts";
import { totalUsage } from "./images/usage.ts";
import { OrderTaker } from "./image-orders.ts";
import { CaseBlobs } from "./jobs/judge/case-blobs.ts";
import { reportOutages } from "./outages.ts";
import { MetricsServer } from "./metrics-server.ts";
import { WorkerMetrics } from "./metrics.ts";
import { Placement } from "./placement.ts";
import { periodically } from "./periodically.ts";
import { SlotPool } from "./slots.ts";
import { SpoolDirectory } from "./spool-directory.ts";
import { insist } from "./insist.ts";

/** How often jobs are looked for that everybody has lost; each worker does it. */
const RECONCILE_MS = 30_000;

/** How often images beyond LONGSHORE_IMAGE_CACHE_BYTES are removed, and layers of jobs that nobody uses any more. */
const GARBAGE_MS = 300_000;

/** A worker that takes jobs. */
export interface RunningWorker {
  readonly id: string;
  /** Where its metrics are served. */
  readonly metricsPort: number;
  /** Resolves with a directory of its own that was removed while it runs, without which it can do no more jobs. */
  readonly directoryRemoved: Promise<string>;
  /**
   * Takes no more jobs, waits for those that run, and closes everything.
   * @param deadline when it aborts, running jobs go back to the queue
   */
  drain(deadline: AbortSignal): Promise<void>;
}

/**
 * Opens everything a worker needs and starts to take jobs. Waits for a Redis that is away.
 * @throws when the machine, the data directory or Redis is not fit; the message names the way out
 */
export async function startWorker(config: Config, logger: Logger): Promise<RunningWorker> {
  await using resources = new AsyncDisposableStack();
  const connect = (role: "consumer" | "subscriber"): Redis => {
    const connection = connectRedis(config.redisUrl, role, reportOutages(logger, role));
    return resources.adopt(connection, (it) => it.disconnect());
  };
  const redis = connect("consumer");
  await checkRedis(redis);

  insistOnVolumes(config.volumes, config.idBase);
  await mkdir(config.dataDirectory, { recursive: true });
  const { imageLimits: limits, imageCacheBytes } = config;
  const images = await ImageStore.open(join(config.dataDirectory, "images"), { limits, bytesMax: imageCacheBytes });
  await clearLeftovers(images);
  const puller = new ImagePuller(images, registrySettings(config, process.env));
  const { dataDirectory } = config;
  // Each slot has a companion.
  const identity = resources.use(await WorkerIdentity.take({ idBase: config.idBase, slots: 2 * config.slots }));
  const { id, name, idBase } = identity;
  const spool = resources.use(await SpoolDirectory.open(join(dataDirectory, "outputs"), name));
  const { choice: cores } = resources.use(await CoreLease.take({ ...config, layout: detectCgroups() }));
  if (cores.kind === "shared") logger.info({ reason: cores.reason }, "slots share the cores");
  const runtime = resources.use(
    new ContainerRuntime({
      dataDirectory,
      idBase,
      worker: name,
      warmth: config.warmth,
      ...(cores.kind === "divided" && { cores }),
    }),
  );
  for (const place of [runtime, spool]) {
    try {
      await place.removeAbandoned(isWorkerName);
    } catch (error) {
      logger.warn({ err: error }, "what a dead worker left cannot be removed: the next worker will try again");
    }
  }
  const slots = resources.use(await SlotPool.open(config.slots, (index) => runtime.openSlot(index)));

  const { queue, attempts, resultTtlSeconds } = config;
  const metrics = new WorkerMetrics();
  metrics.observe(slots, images);
  const server = resources.use(await MetricsServer.open(metrics, config.metricsHost, config.metricsPort));
  const storage = openBlobStorage(config, redis);
  const blobs = resources.use(new Blobs({ redis, queue, storage, bytesMax: config.blobBytes }));
  const inputs = await InputLayers.open(join(dataDirectory, "inputs"), {
    blobs,
    initLayer: initLayerPath(dataDirectory),
    layerBytesMax: config.layerBytes,
    bytesMax: config.layerCacheBytes,
  });
  const builds = await BuildLayers.open(join(dataDirectory, "builds"), config.buildCacheBytes);
  const caseBlobs = await CaseBlobs.open(join(dataDirectory, "cases"), config.caseCacheBytes);
  const store = new JobStore({ redis, queue, resultTtlSeconds, blobs });
  const subscriber = connect("subscriber");
  const cancels = resources.use(new JobSignals(subscriber, redis, store.keys.cancelChannel));
  const watches = resources.use(new JobSignals(subscriber, redis, store.keys.watchChannel));
  const jobQueue = resources.use(new JobQueue({ redis, queue, attempts }));
  const layerTtlSeconds = config.blobTtlSeconds;
  const shards = new ShardStore({ redis, queue, resultTtlSeconds, layerTtlSeconds, insist });
  const registry = new WorkerRegistry(redis, queue);
  const catalog = new ImageCatalog(redis, queue);

  const startedAt = new Date().toISOString();
  const announce = async (): Promise<void> => {
    const stored = await images.list();
    // First: who reads of an image finds it described.
    await catalog.renew(stored.map(describedImage));
    await registry.announce(describe(stored));
  };
  const describe = (stored: readonly StoredImage[]): WorkerInfo => ({
    id,
    host: hostname(),
    version,
    slots: { total: slots.total, busy: slots.busy },
    images: stored.map(summarizeImage),
    imageStore: totalUsage(stored),
    volumes: [...config.volumes.values()].map(({ name, mode }) => ({ name, mode })),
    cgroupVersion: runtime.cgroupVersion,
    kernel: release(),
    startedAt,
  });
  const onError = (error: unknown): void => logger.warn({ err: error }, "a recurring task failed: it will be repeated");
  resources.defer(() => registry.withdraw(id));
  const orders = new ImageOrders(redis, queue);
  const mail = resources.use(new JobSignals(subscriber, redis, orders.mailChannel));
  const orderTaker = resources.use(new OrderTaker({ worker: id, orders, mail, images, puller, announce, logger }));
  const beat = async (): Promise<void> => {
    await announce();
    await orderTaker.collectGarbage();
  };
  resources.use(periodically(beat, HEARTBEAT_MS, onError));
  const reconciler = new Reconciler(redis, store, jobQueue);
  resources.use(
    periodically(
      async () => {
        const lost = await reconciler.next();
        if (lost.length > 0) logger.warn({ jobs: lost }, "jobs were found that nobody has any more: they failed");
      },
      RECONCILE_MS,
      onError,
    ),
  );

  const ownDirectories = ["", "images", "staging", "inputs", "builds"].map((name) => join(dataDirectory, name));
  const directories = await DirectoryWatch.open(ownDirectories);
  const removed = Promise.withResolvers<string>();
  const look = async (): Promise<void> => {
    const path = await directories.findRemoved();
    if (path !== undefined) removed.resolve(path);
  };
  resources.use(periodically(look, HEARTBEAT_MS, onError));

  const { blobTtlSeconds } = config;
  resources.use(
    periodically(
      async () => {
        const since = new Date(Date.now() - blobTtlSeconds * 1000);
        const layers = (await inputs.removeUnused(since)) + (await builds.removeUnused(since));
        const files = await caseBlobs.removeUnused(since);
        if (layers + files > 0) logger.info({ layers, files }, "layers of jobs and files of cases were removed");
      },
      GARBAGE_MS,
      onError,
    ),
  );
  let isGarbageLeft = false;
  resources.use(
    periodically(
      async () => {
        if ((await images.kept.removeExpired()) > 0) isGarbageLeft = true;
        if (imageCacheBytes === undefined && !isGarbageLeft) return;
        const report = await collectGarbage(images, { bytesMax: imageCacheBytes });
        if (report === undefined) return;
        isGarbageLeft = false;
        if (report.layers + report.blobs > 0) logger.info(report, "images and kept layers were removed");
      },
      GARBAGE_MS,
      onError,
    ),
  );

  const presets = loadPresets(SHIPPED_IMAGES);
  const consumer = new Consumer(
    {
      redis,
      queue,
      attempts,
      placement: new Placement({ images, presets, pull: config.pull, worker: id, workers: registry }),
    },
    {
      images,
      inputs,
      builds,
      blobs,
      shards,
      queue: jobQueue,
      caseBlobs,
      outputSpool: { directory: spool.path, bytesMax: config.outputFilesBytes },
      puller,
      pull: config.pull,
      presets,
      volumes: config.volumes,
      maxima: config.maxima,
      keep: config.keptLayers,
      onKeepFailure: (error) => logger.error({ err: error }, "what a job wrote could not be kept"),
      worker: id,
      onContainerStart: () => metrics.containerStarted(),
      onContainerEnd: (report) => metrics.containerEnded(report),
      onImageLookup: (answer) => metrics.imageLookedUp(answer),
      onImagePull: (milliseconds) => metrics.imagePulled(milliseconds),
      store,
      cancels,
      events: new JobEvents({ redis, queue }),
      watches,
      slots,
      metrics,
      logger,
    },
  );
  const kept = resources.move();
  return {
    id,
    metricsPort: server.port,
    directoryRemoved: removed.promise,
    async drain(deadline) {
      await consumer.drain(deadline);
      await kept.disposeAsync();
    },
  };
}
