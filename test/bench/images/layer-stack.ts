import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import type { Workbench } from "../workbench.ts";

/** How many layers the images have that containers are started from. */
export const stackHeights = [1, 10, 60] as const;

/** Directories of a stack of so many layers, lowest first: the bench's own, and on it such as change some files. */
export async function makeLayerStack(bench: Workbench, height: number): Promise<readonly string[]> {
  const layers = [bench.layer];
  for (let index = 1; index < height; index++) {
    const path = join(bench.directory, "stacks", `${height}-${index}`);
    await mkdir(join(path, "etc"), { recursive: true, mode: 0o755 });
    await writeFile(join(path, "etc", `layer-${index}`), `${index}\n`);
    await writeFile(join(path, "etc", "topmost"), `${index}\n`);
    layers.push(path);
  }
  return layers;
}

/**
 * A stack of so many layers that a slot has never seen, each time: the same directories by other paths, by which a slot
 * knows its layers. Their files are in memory.
 */
export async function makeUnseenStacks(bench: Workbench, height: number): Promise<() => Promise<readonly string[]>> {
  const layers = await makeLayerStack(bench, height);
  const aliases = join(bench.directory, "aliases");
  await mkdir(aliases);
  let count = 0;
  return async () => {
    const alias = join(aliases, String(count++));
    await symlink(bench.directory, alias);
    return layers.map((path) => join(alias, relative(bench.directory, path)));
  };
}
