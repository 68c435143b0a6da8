import type { Stats } from "node:fs";
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { IgnoreFiles } from "./ignore-files.ts";

/** Something below a directory. */
export interface TreeEntry {
  /** From that directory, with slashes. */
  readonly path: string;
  /** Where it is, for system calls. */
  readonly file: string;
  /** Its own: symbolic links are not followed. */
  readonly status: Stats;
}

/**
 * What is below a directory, in the order of names, each directory before what it has.
 * @param ignoreFiles `honoured`: without what the ignore files on the way name, see {@link IgnoreFiles}
 */
export async function* walkDirectory(
  directory: string,
  ignoreFiles: "honoured" | "unknown",
): AsyncGenerator<TreeEntry, void, void> {
  yield* walkBelow(directory, "", ignoreFiles === "honoured" ? IgnoreFiles.none : undefined);
}

async function* walkBelow(
  directory: string,
  prefix: string,
  above: IgnoreFiles | undefined,
): AsyncGenerator<TreeEntry, void, void> {
  const ignored = await above?.within(directory, prefix);
  for (const name of (await readdir(directory)).toSorted()) {
    const entry = { path: `${prefix}${name}`, file: join(directory, name), status: await lstat(join(directory, name)) };
    const isDirectory = entry.status.isDirectory();
    if (ignored?.has(isDirectory ? `${entry.path}/` : entry.path) === true) continue;
    yield entry;
    if (isDirectory) yield* walkBelow(entry.file, `${entry.path}/`, ignored);
  }
}
