import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { type Digest, isDigest } from "../digest.ts";
import { removeTemporaries, writeFileDurably } from "../durable.ts";
import type { ImageStore } from "../store.ts";
import { LAYER_TAR_VERSION } from "../layer-tar.ts";
import type { StoredLayer } from "../layers.ts";

/** Changes when steps come to mean something else, so that layers made by an earlier version are not used. */
const VERSION = 2;

/** How long a step is remembered that nobody meets again, in milliseconds: 30 days. */
const UNUSED_MS_MAX = 30 * 24 * 3_600_000;

const record = z.object({
  layer: z.custom<Digest>((value) => typeof value === "string" && isDigest(value)).nullable(),
  created: z.string(),
});

/** What a step made before. */
export interface CachedStep {
  /** Undefined when the step changed nothing. */
  readonly layer: StoredLayer | undefined;
  /** RFC 3339. */
  readonly created: string;
}

/**
 * What steps of earlier builds made, each in a small file named by everything that decided about it. A layer that has
 * been collected since is no hit. The cache keeps no layer alive: without an image that has it, a layer may go.
 */
export class BuildCache {
  readonly #store: ImageStore;
  readonly #directory: string;

  private constructor(store: ImageStore, directory: string) {
    this.#store = store;
    this.#directory = directory;
  }

  static async open(store: ImageStore): Promise<BuildCache> {
    const directory = join(store.directory, "build-cache");
    await mkdir(directory, { recursive: true });
    return new BuildCache(store, directory);
  }

  /**
   * The name of a step on top of these layers. The content of the file system below is in their digests, and so it is
   * no matter by which Dockerfile it was made.
   * @param parts what the step does, and digests of what it reads
   */
  keyOf(layers: readonly StoredLayer[], parts: readonly unknown[]): string {
    const below = layers.map(({ digest }) => digest);
    return createHash("sha256")
      .update(JSON.stringify([VERSION, LAYER_TAR_VERSION, below, parts]))
      .digest("hex");
  }

  async find(key: string): Promise<CachedStep | undefined> {
    const found = await this.#read(this.#pathOf(key));
    const now = new Date();
    // It has been used: see removeStale.
    if (found !== undefined) await utimes(this.#pathOf(key), now, now);
    return found;
  }

  async put(key: string, { layer, created }: CachedStep): Promise<void> {
    await writeFileDurably(this.#pathOf(key), `${JSON.stringify({ layer: layer?.digest ?? null, created })}\n`);
  }

  /** Removes what is of no use any more. To be called while nobody builds, and when layers that are garbage are gone. */
  async removeStale(): Promise<void> {
    await removeTemporaries(this.#directory);
    for (const name of await readdir(this.#directory)) {
      const path = join(this.#directory, name);
      const isStale = (await this.#read(path)) === undefined || Date.now() - (await stat(path)).mtimeMs > UNUSED_MS_MAX;
      if (isStale) await rm(path, { force: true });
    }
  }

  async #read(path: string): Promise<CachedStep | undefined> {
    const text = await readFile(path, "utf8").catch(() => undefined);
    const parsed = text === undefined ? undefined : record.safeParse(parseJson(text));
    if (parsed?.success !== true) return undefined;
    const { layer: digest, created } = parsed.data;
    if (digest === null) return { layer: undefined, created };
    const layer = await this.#store.layers.get(digest);
    return layer && { layer, created };
  }

  #pathOf(key: string): string {
    return join(this.#directory, `${key}.json`);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
