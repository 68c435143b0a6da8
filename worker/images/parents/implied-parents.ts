/**
 * Gives directories that a layer only implies the attributes that they have in the image.
 *
 *   layer 1   tmp/  1777                            merged without   tmp/  0755, since overlayfs shows a directory
 *   layer 2   tmp/x (and no entry of tmp/)                                 as the topmost layer has it
 *
 *   over them: tmp/  1777, empty                    merged           tmp/  1777
 *
 * Where the layers below have a symbolic link of that name, the directory takes its place: whoever unpacks a layer by
 * itself has it so (Docker's overlay2, containerd's overlayfs snapshotter, BuildKit's `COPY --link`). A builder that means
 * the place where the link leads has written that one into the layer.
 *
 * Others unpack a layer once for each image that has it on something else (containerd's snapshots are named by the chain
 * of layers, and mkparent() of its archive package takes what the parents below have), or unpack all of an image into
 * one directory, as umoci does. Here layers are shared by whoever has them, so the attributes are a layer of their own,
 * of empty directories: one for a chain of layers, and only where one of them implies something.
 */
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, digestOf, hexOf, isDigest } from "../digest.ts";
import { syncDirectory } from "../durable.ts";
import type { StoredLayer } from "../layers.ts";
import { makeParentsInThread } from "./pool.ts";

type Layers = readonly Pick<StoredLayer, "digest" | "path" | "impliedDirectories">[];

/** Changes with how the directories are made, so that those of an earlier version are not used. */
const VERSION = 1;

/** How many directories layers imply. */
export function countImplied(layers: Layers): number {
  return layers.reduce((sum, { impliedDirectories = 0 }) => sum + impliedDirectories, 0);
}

/**
 * What names the directories that go over a chain of layers, lowest first; undefined where there is nothing to set right.
 */
export function parentsKeyOf(layers: Layers): Digest | undefined {
  const needed = layers.slice(1).some(({ impliedDirectories = 0 }) => impliedDirectories > 0);
  return needed ? digestOf(JSON.stringify([VERSION, layers.map(({ digest }) => digest)])) : undefined;
}

/** The directories that go over chains of layers, each below a directory named by its {@link parentsKeyOf}. */
export class ImpliedParents {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static async open(directory: string): Promise<ImpliedParents> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    return new ImpliedParents(directory);
  }

  /** Where the directories of a chain are; undefined while nobody has made them. At once, since each job asks. */
  find(key: Digest): string | undefined {
    const path = join(this.#directory, hexOf(key));
    return existsSync(path) ? path : undefined;
  }

  /**
   * Makes the directories of a chain.
   * @param staging a directory of the same file system, which nobody clears meanwhile
   */
  async make(key: Digest, layers: Layers, staging: string): Promise<string> {
    const path = join(this.#directory, hexOf(key));
    const staged = join(staging, `parents-${randomUUID()}`);
    try {
      const described = layers.map(({ path: layer, impliedDirectories = 0 }) => ({ path: layer, impliedDirectories }));
      await makeParentsInThread({ layers: described, directory: staged });
      // Whoever was first has made the same.
      await rename(staged, path).catch(ignoreExisting);
      await syncDirectory(this.#directory);
    } finally {
      await rm(staged, { recursive: true, force: true });
    }
    return path;
  }

  /** Removes all but those of some chains. @param staging where what is being removed goes first */
  async removeOthers(kept: ReadonlySet<Digest>, staging: string): Promise<void> {
    for (const name of await readdir(this.#directory)) {
      const key = `sha256:${name}`;
      if (isDigest(key) && kept.has(key)) continue;
      const grave = join(staging, `removed-parents-${name}`);
      await rename(join(this.#directory, name), grave);
      await rm(grave, { recursive: true, force: true });
    }
  }
}

function ignoreExisting(error: unknown): void {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code !== "ENOTEMPTY" && code !== "EEXIST") throw error;
}
