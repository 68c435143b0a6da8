/**
 * Images for tests that run containers. They are those of this machine's data directory, which the set-up of the tests
 * has built; what is missing there, e.g. when one test is run by hand, is built now.
 */
import { mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../../shared/config.ts";
import { buildShippedImage } from "../../worker/images/shipped.ts";
import { ImageStore } from "../../worker/images/store.ts";
import { StepContainers } from "../../worker/step-containers.ts";

/** A data directory of a test's own, in which the images are the shared ones; `await using` removes it. */
export interface DataDirectory extends AsyncDisposable {
  readonly path: string;
  readonly images: ImageStore;
}

/** Makes a data directory that has these images. */
export async function makeDataDirectory(...names: readonly string[]): Promise<DataDirectory> {
  const { dataDirectory, idBase } = loadConfig(process.env);
  const images = await ImageStore.open(join(dataDirectory, "images"));
  await using runner = new StepContainers({ dataDirectory, idBase });
  for (const name of names) await buildShippedImage(images, name, { runner });
  const path = await mkdtemp(join(tmpdir(), "longshore-data-"));
  await symlink(images.directory, join(path, "images"));
  return {
    path,
    images,
    async [Symbol.asyncDispose]() {
      await rm(path, { recursive: true });
    },
  };
}
