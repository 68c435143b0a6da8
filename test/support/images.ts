/**
 * Images for tests that run containers: built from the project's own recipes once, and kept in the user's cache
 * directory for the next run of the tests. A build that is up to date takes milliseconds.
 */
import { mkdir, mkdtemp, rm, symlink } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { buildImage } from "../../worker/images/build.ts";
import { ImageStore } from "../../worker/images/store.ts";

const cache = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "longshore/test-images");

/** A data directory of a test's own, in which the images are the shared ones; `await using` removes it. */
export interface DataDirectory extends AsyncDisposable {
  readonly path: string;
  readonly images: ImageStore;
}

/** Makes a data directory that has these images, and builds those that are missing. */
export async function makeDataDirectory(...names: readonly string[]): Promise<DataDirectory> {
  await mkdir(cache, { recursive: true });
  const images = await ImageStore.open(cache);
  for (const name of names) await buildImage(images, name);
  const path = await mkdtemp(join(tmpdir(), "longshore-data-"));
  await symlink(cache, join(path, "images"));
  return {
    path,
    images,
    async [Symbol.asyncDispose]() {
      await rm(path, { recursive: true });
    },
  };
}
