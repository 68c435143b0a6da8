/** Which workers are alive: each says so every two seconds, and is gone when it has not for ten. */
import type { Redis } from "ioredis";
import * as z from "zod";
import { createKeys } from "./keys.ts";
import { withRedis } from "./redis.ts";
import { volumeModes } from "./volumes.ts";

/** How often a worker should call {@link WorkerRegistry.announce}, in milliseconds. */
export const HEARTBEAT_MS = 2000;

/** For how long a worker counts as alive after it did, in milliseconds. */
export const WORKER_TTL_MS = 10_000;

const count = z.int().min(0);

const cachedImageSchema = z
  .strictObject({
    reference: z.string(),
    digest: z.string(),
    layers: count,
    bytes: count,
  })
  .meta({ id: "CachedImage" });

export const workerSchema = z
  .strictObject({
    id: z.string().min(1).max(256),
    host: z.string(),
    version: z.string().meta({ description: "version of Longshore" }),
    slots: z.strictObject({ total: count, busy: count }),
    images: z.array(cachedImageSchema),
    imageStore: z
      .strictObject({
        layers: count,
        bytes: count.meta({ description: "of the layers, unpacked" }),
        blobBytes: count.meta({ description: "of what was pulled, as it came" }),
      })
      .meta({ description: "what the images take together; what they share counts once" }),
    volumes: z
      .array(z.strictObject({ name: z.string(), mode: z.enum(volumeModes) }))
      .meta({ description: "what jobs may mount, by name" }),
    cgroupVersion: z.union([z.literal(1), z.literal(2)]),
    kernel: z.string().meta({ examples: ["6.1.0-28-amd64"] }),
    startedAt: z.iso.datetime(),
  })
  .meta({ id: "Worker", description: "a live worker, as of its last heartbeat" });

export type WorkerInfo = z.infer<typeof workerSchema>;

export class WorkerRegistry {
  readonly #redis: Redis;
  readonly #keys: ReturnType<typeof createKeys>;

  constructor(redis: Redis, queue: string) {
    this.#redis = redis;
    this.#keys = createKeys(queue);
  }

  /** Says that a worker is alive, and what it has. */
  async announce(worker: WorkerInfo): Promise<void> {
    await withRedis(() =>
      this.#redis
        .multi()
        .set(this.#keys.worker(worker.id), JSON.stringify(worker), "PX", WORKER_TTL_MS)
        .sadd(this.#keys.workers, worker.id)
        .exec(),
    );
  }

  /** Says that a worker ends, so that nobody counts on it for another ten seconds. */
  async withdraw(id: string): Promise<void> {
    await withRedis(() => this.#redis.multi().del(this.#keys.worker(id)).srem(this.#keys.workers, id).exec());
  }

  /** Workers alive, by id. What another version of Longshore wrote and this one cannot read is left out. */
  async list(): Promise<WorkerInfo[]> {
    const ids = (await withRedis(() => this.#redis.smembers(this.#keys.workers))).toSorted();
    if (ids.length === 0) return [];
    const records = await withRedis(() => this.#redis.mget(ids.map((id) => this.#keys.worker(id))));
    const gone = ids.filter((_, index) => records[index] === null);
    if (gone.length > 0) await withRedis(() => this.#redis.srem(this.#keys.workers, ...gone));
    return records.flatMap((record) => {
      const parsed = workerSchema.safeParse(record === null ? undefined : JSON.parse(record));
      return parsed.success ? [parsed.data] : [];
    });
  }
}
