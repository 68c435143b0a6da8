/** Redis, a worker as a process of its own, and an API: all of an installation, for tests over HTTP. */
import { type RunningApi, startApi } from "./api.ts";
import { type DataDirectory, makeDataDirectory } from "./images.ts";
import { type RedisServer, startRedis } from "./redis.ts";
import { startWorkerProcess, type WorkerProcess } from "./worker.ts";

export interface Installation extends AsyncDisposable {
  readonly redis: RedisServer;
  readonly data: DataDirectory;
  readonly worker: WorkerProcess;
  readonly api: RunningApi;
}

/**
 * Starts an installation whose worker takes jobs.
 * @param images shipped images that it has
 * @param workerEnvironment what its worker is told besides where Redis and its data are
 */
export async function startInstallation(
  images: readonly string[],
  workerEnvironment: Readonly<Record<string, string>>,
): Promise<Installation> {
  await using parts = new AsyncDisposableStack();
  const redis = await startRedis();
  parts.defer(() => redis.stop());
  const data = parts.use(await makeDataDirectory(...images));
  const worker = parts.use(
    startWorkerProcess({ REDIS_URL: redis.url, LONGSHORE_DATA: data.path, ...workerEnvironment }),
  );
  await worker.ready;
  const api = parts.use(await startApi(redis.url, { LONGSHORE_DATA: data.path }));
  const started = parts.move();
  return { redis, data, worker, api, [Symbol.asyncDispose]: () => started.disposeAsync() };
}
