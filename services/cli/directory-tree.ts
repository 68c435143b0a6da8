import type { Stats } from "node:fs";
import { lstat, readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
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

/** What of a directory is taken. */
export interface Selection {
  /** `honoured`: not what the ignore files on the way name, see {@link IgnoreFiles}. */
  readonly ignoreFiles: "honoured" | "unknown";
  /** Nor this file or directory, if it is there at all. */
  readonly without?: string;
}

export const everything: Selection = { ignoreFiles: "unknown" };

/** What is below a directory, in the order of names, each directory before what it has. */
export async function* walkDirectory(directory: string, selection: Selection): AsyncGenerator<TreeEntry, void, void> {
  const ignored = selection.ignoreFiles === "honoured" ? IgnoreFiles.none : undefined;
  const without = selection.without === undefined ? undefined : resolve(selection.without);
  yield* walkBelow(resolve(directory), "", ignored, without);
}

async function* walkBelow(
  directory: string,
  prefix: string,
  above: IgnoreFiles | undefined,
  without: string | undefined,
): AsyncGenerator<TreeEntry, void, void> {
  const ignored = await above?.within(directory, prefix);
  for (const name of (await readdir(directory)).toSorted()) {
    const entry = { path: `${prefix}${name}`, file: join(directory, name), status: await lstat(join(directory, name)) };
    if (entry.file === without) continue;
    const isDirectory = entry.status.isDirectory();
    if (ignored?.has(isDirectory ? `${entry.path}/` : entry.path) === true) continue;
    yield entry;
    if (isDirectory) yield* walkBelow(entry.file, `${entry.path}/`, ignored, without);
  }
}
