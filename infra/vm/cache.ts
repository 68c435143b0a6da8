import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";

/** Something that takes long to make, and what it is made from. */
export interface Artifact {
  /** A word without a dot; of each name the latest is kept. */
  readonly name: string;
  /** Everything that decides the content. */
  readonly recipe: unknown;
  /** Makes it, as the file or directory `path`. */
  readonly build: (path: string) => Promise<void>;
}

/** The path of an artifact under `directory`; it is made unless it was made from the same recipe before. */
export async function cached(directory: string, { name, recipe, build }: Artifact): Promise<string> {
  const key = createHash("sha256").update(JSON.stringify(recipe)).digest("hex").slice(0, 16);
  const path = join(directory, `${name}.${key}`);
  if (existsSync(path)) return path;
  await mkdir(directory, { recursive: true });
  for (const entry of await readdir(directory)) {
    if (entry.startsWith(`${name}.`) && !isBeingMade(entry)) await remove(join(directory, entry));
  }
  // Only what is complete gets the key's name.
  const partial = `${path}.${process.pid}`;
  try {
    await build(partial);
    await remove(path); // another process was faster
    await rename(partial, path);
  } finally {
    await remove(partial);
  }
  return path;
}

/** The third part of a partial artifact's name is the process that makes it. */
function isBeingMade(entry: string): boolean {
  const maker = entry.split(".")[2];
  return maker !== undefined && existsSync(`/proc/${maker}`);
}

function remove(path: string): Promise<void> {
  return rm(path, { recursive: true, force: true });
}
