/** A Redis, a store and a queue for one test file. */
import type { Redis } from "ioredis";
import type { Job } from "../../../shared/job.ts";
import type { JobRequest } from "../../../shared/job-request.ts";
import { JobStore } from "../../../shared/job-store.ts";
import { JobQueue } from "../../../shared/queue.ts";
import { Submitter } from "../../../shared/submit.ts";
import { connected, requestOf } from "../../support/jobs.ts";
import { startRedis, type RedisServer } from "../../support/redis.ts";

export const QUEUE = "longshore-test";

export interface StoreBench extends AsyncDisposable {
  readonly server: RedisServer;
  readonly redis: Redis;
  readonly store: JobStore;
  readonly queue: JobQueue;
  readonly submitter: Submitter;
  /** Accepts a job and returns it. */
  submit(request?: JobRequest): Promise<Job>;
  /** Another store on the same connection. */
  storeWith(options: { readonly confirmMs: number }): JobStore;
  /** Another store on another connection. */
  storeOn(redis: Redis): JobStore;
}

export async function openStore(): Promise<StoreBench> {
  const server = await startRedis();
  const redis = await connected(server.url, "producer");
  const common = { queue: QUEUE, resultTtlSeconds: 60 };
  const store = new JobStore({ redis, ...common });
  const queue = new JobQueue({ redis, queue: QUEUE, attempts: 3 });
  const submitter = new Submitter(store, queue, 1000);
  return {
    server,
    redis,
    store,
    queue,
    submitter,
    storeWith: (options) => new JobStore({ redis, ...common, ...options }),
    storeOn: (redis) => new JobStore({ redis, ...common }),
    submit: async (request = requestOf()) => (await submitter.submit(request)).job,
    async [Symbol.asyncDispose]() {
      await queue[Symbol.asyncDispose]();
      redis.disconnect();
      await server.stop();
    },
  };
}
