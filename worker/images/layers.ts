import { chmod, mkdir, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { type Digest, hexOf, isDigest } from "./digest.ts";
import { removeTemporaries, syncDirectory, writeFileDurably } from "./durable.ts";
import { describeLayer } from "./layer-tar.ts";
import { type Descriptor, descriptor } from "./oci.ts";
import { runCommand } from "./process.ts";

/** A layer on disk, ready to be a lower directory of an overlay mount. */
export interface StoredLayer {
  /** Diff id: sha256 of the layer's uncompressed tar. */
  readonly digest: Digest;
  /** The directory, owned by ids 0 to 65535; deletions are in overlayfs's own form. */
  readonly path: string;
  /** Size of the uncompressed tar. */
  readonly bytes: number;
  /** The blob that it was unpacked from, which the store keeps. Layers that were made here have none. */
  readonly blob?: Descriptor | undefined;
  /** Directories that its archive has no entry of, see `parents/implied-parents.ts`. None if undefined. */
  readonly impliedDirectories?: number | undefined;
  /** What whoever made it wants to know of it later; not read here. */
  readonly note?: string | undefined;
}

/** A record lies beside its layer's directory. */
const RECORD_SUFFIX = ".json";

const layerRecord = z.object({
  bytes: z.int().nonnegative(),
  blob: descriptor.optional(),
  impliedDirectories: z.int().nonnegative().optional(),
  note: z.string().optional(),
});

/**
 * Unpacked layers, each a directory named by its diff id, with a record of its size beside it.
 *
 * A layer appears by one rename of a finished, synced directory, after its record, and goes by one rename, before it:
 * whoever sees the directory sees all of it, and what a kill in between leaves is a record, which alone is nothing. Layers are never changed afterwards, containers of many users have them mounted. Only root gets
 * here: set-user-id programs of strangers must not be there for the host's users to run.
 */
export class LayerStore {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static async open(directory: string): Promise<LayerStore> {
    await mkdir(join(directory, "sha256"), { recursive: true });
    await chmod(directory, 0o700);
    return new LayerStore(join(directory, "sha256"));
  }

  async get(digest: Digest): Promise<StoredLayer | undefined> {
    const record = await this.#recordOf(digest);
    return record && { digest, path: this.pathOf(digest), ...record };
  }

  /**
   * Whether the tar that a layer's digest is of can be made from its directory, byte for byte: that is so where it was
   * made from the directory in the first place.
   */
  async canBePacked(digest: Digest): Promise<boolean> {
    const record = await this.#recordOf(digest);
    return record !== undefined && record.blob === undefined;
  }

  async list(): Promise<StoredLayer[]> {
    const digests = (await readdir(this.#directory)).map((name) => `sha256:${name}`).filter(isDigest);
    const layers = await Promise.all(digests.map((digest) => this.get(digest)));
    return layers.filter((layer) => layer !== undefined);
  }

  /**
   * Makes a directory of the same file system a layer. The directory is gone afterwards: moved, or removed when
   * the store has a layer of the same content already.
   */
  async commit(directory: string): Promise<StoredLayer> {
    const { diffId, bytes } = await describeLayer(directory);
    if ((await this.get(diffId)) === undefined) {
      // syncfs(2): thousands of files reach the disk in one call instead of an fsync each.
      await runCommand("sync", ["--file-system", directory], { environment: { PATH: process.env["PATH"] ?? "" } });
    }
    return this.adopt(directory, diffId, { bytes });
  }

  /**
   * Makes a directory of the same file system, whose content is on disk, the layer of a known digest. The directory
   * is gone afterwards, as above.
   */
  async adopt(
    directory: string,
    digest: Digest,
    record: Pick<StoredLayer, "bytes" | "blob" | "impliedDirectories" | "note">,
  ): Promise<StoredLayer> {
    const path = this.pathOf(digest);
    await writeFileDurably(`${path}${RECORD_SUFFIX}`, `${JSON.stringify(record)}\n`);
    await moveUnlessPresent(directory, path);
    await syncDirectory(this.#directory);
    await rm(directory, { recursive: true, force: true });
    return { digest, path, ...record };
  }

  /**
   * Removes a layer that nobody uses.
   * @param grave path of the same file system that does not exist; what a crash leaves there may be removed
   */
  async remove(digest: Digest, grave: string): Promise<void> {
    // Gone by one rename: nobody ever sees a part of a layer.
    await rename(this.pathOf(digest), grave);
    await rm(`${this.pathOf(digest)}${RECORD_SUFFIX}`, { force: true });
    await rm(grave, { recursive: true, force: true });
  }

  /** Removes what a process left that was killed. To be called while nobody adds or removes layers. */
  async removeLeftovers(): Promise<void> {
    await removeTemporaries(this.#directory);
    const names = new Set(await readdir(this.#directory));
    for (const name of names) {
      if (name.endsWith(RECORD_SUFFIX) && !names.has(name.slice(0, -RECORD_SUFFIX.length)))
        await rm(join(this.#directory, name), { force: true });
    }
  }

  pathOf(digest: Digest): string {
    return join(this.#directory, hexOf(digest));
  }

  async #recordOf(digest: Digest): Promise<z.output<typeof layerRecord> | undefined> {
    const path = this.pathOf(digest);
    if ((await stat(path).catch(() => undefined)) === undefined) return undefined;
    return layerRecord.parse(JSON.parse(await readFile(`${path}${RECORD_SUFFIX}`, "utf8")));
  }
}

/** Another process may have committed the same layer since we looked: content-addressed, so either one will do. */
async function moveUnlessPresent(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && (error.code === "ENOTEMPTY" || error.code === "EEXIST")))
      throw error;
  }
}
