/**
 * What images consist of, as the workers that have them say: one entry for each digest, which expires when no worker
 * has renewed it for a while. A heartbeat names images only, or every worker would send all of this every two seconds.
 */
import type { Redis } from "ioredis";
import * as z from "zod";
import { createKeys, type Keys } from "./keys.ts";
import { withRedis } from "./redis.ts";
import { WORKER_TTL_MS } from "./workers.ts";

/** For how long an entry is there after a worker has renewed it, in milliseconds; longer than any worker counts as alive. */
const ENTRY_TTL_MS = 3 * WORKER_TTL_MS;

/** Largest entry, in bytes: a configuration is an image's, and may be anything. */
const ENTRY_BYTES_MAX = 256 * 1024;

const count = z.int().min(0);

const layerSchema = z
  .strictObject({
    diffId: z.string().meta({ description: "digest of the uncompressed tar" }),
    bytes: count.meta({ description: "size of the uncompressed tar" }),
    blob: z.strictObject({ mediaType: z.string(), digest: z.string(), size: count }).meta({
      description: "the layer as the manifest has it",
    }),
  })
  .meta({ id: "ImageLayer" });

export const imageDescriptionSchema = z
  .strictObject({
    created: z.string().nullable(),
    platform: z.string().meta({ examples: ["linux/amd64"] }),
    config: z
      .record(z.string(), z.unknown())
      .nullable()
      .meta({
        description:
          "the OCI configuration of its processes: User, Env, Cmd, …; null for who is no administrator, and when all of " +
          `this is more than ${ENTRY_BYTES_MAX} bytes`,
      }),
    layers: z.array(layerSchema).meta({ description: "lowest first" }),
  })
  .meta({ id: "ImageDescription" });

export type ImageDescription = z.infer<typeof imageDescriptionSchema>;

/** A digest, and what it stands for, to be told only when it has to be. */
export interface DescribedImage {
  readonly digest: string;
  readonly describe: () => ImageDescription;
}

export class ImageCatalog {
  readonly #redis: Redis;
  readonly #keys: Keys;

  constructor(redis: Redis, queue: string) {
    this.#redis = redis;
    this.#keys = createKeys(queue);
  }

  /** Renews the entries of a worker's images, and writes those that are not there. */
  async renew(images: readonly DescribedImage[]): Promise<void> {
    const unique = [...new Map(images.map((image) => [image.digest, image])).values()];
    if (unique.length === 0) return;
    const renewal = this.#redis.pipeline();
    for (const { digest } of unique) renewal.pexpire(this.#keys.image(digest), ENTRY_TTL_MS);
    const replies = (await withRedis(() => renewal.exec())) ?? [];
    const absent = unique.filter((_, index) => replies[index]?.[1] !== 1);
    if (absent.length === 0) return;
    const writing = this.#redis.pipeline();
    for (const { digest, describe } of absent)
      writing.set(this.#keys.image(digest), serialize(describe()), "PX", ENTRY_TTL_MS);
    await withRedis(() => writing.exec());
  }

  /** What a digest stands for; undefined when no worker has told. */
  async find(digest: string): Promise<ImageDescription | undefined> {
    const entry = await withRedis(() => this.#redis.get(this.#keys.image(digest)));
    const parsed = imageDescriptionSchema.safeParse(entry === null ? undefined : JSON.parse(entry));
    return parsed.success ? parsed.data : undefined;
  }
}

function serialize(description: ImageDescription): string {
  const text = JSON.stringify(description);
  return Buffer.byteLength(text) <= ENTRY_BYTES_MAX ? text : JSON.stringify({ ...description, config: null });
}
