import { mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../../shared/config.ts";

/** A data directory of its own with this machine's images, which take minutes to build and any number may share. */
export interface DataDirectory extends AsyncDisposable {
  readonly path: string;
}

/** Makes a data directory under the system's temporary one; disposing of it removes it, and leaves the images. */
export async function makeDataDirectory(): Promise<DataDirectory> {
  const path = await mkdtemp(join(tmpdir(), "longshore-data-"));
  await symlink(join(loadConfig(process.env).dataDirectory, "images"), join(path, "images"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}
