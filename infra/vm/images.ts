import { glob, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Artifact } from "./cache.ts";
import { makeDisk } from "./system.ts";

/** Sparse. */
const DISK_SIZE = "16G";

/**
 * A disk with a copy of the host's image store: layers are shown through idmapped mounts, which a shared folder (9p)
 * does not have. Which images there are, by digest, decides what is on it.
 */
export async function imagesArtifact(directory: string): Promise<Artifact> {
  const references = (await Array.fromAsync(glob(join(directory, "references/*")))).toSorted();
  const digests = await Promise.all(references.map(async (path) => [path, await readFile(path, "utf8")]));
  return { name: "images", recipe: [DISK_SIZE, digests], build: (path) => makeDisk(path, directory, DISK_SIZE) };
}
