import type { StepRunner } from "../../images/dockerfile/step-runner.ts";
import { buildShippedImage, listShippedImages } from "../../images/shipped.ts";
import type { ImageStore, StoredImage } from "../../images/store.ts";
import { BuildPrinter, type Verbosity } from "./build-printer.ts";

/**
 * Builds images that come with Longshore, as far as they are not up to date, one after the other.
 * @param names `all`: all that there are
 * @throws when there is no such image, or a step fails; those before it are built
 */
export async function* buildShipped(
  store: ImageStore,
  names: readonly string[] | "all",
  verbosity: Verbosity,
  runner: StepRunner,
  signal: AbortSignal,
): AsyncGenerator<StoredImage, void> {
  const available = await listShippedImages();
  const chosen = names === "all" ? available : names;
  if (chosen.length === 0)
    throw new Error(`say what to build: CONTEXT -t NAME, --all, or some of ${available.join(", ")}`);
  const unknown = chosen.find((name) => !available.includes(name));
  if (unknown !== undefined)
    throw new Error(
      `no image ${unknown} comes with Longshore, only ${available.join(", ")}; a context of your own needs a name for its image: longshore images build ${unknown} -t NAME`,
    );
  const printer = new BuildPrinter(verbosity);
  for (const name of chosen) {
    yield await buildShippedImage(store, name, { runner, signal, onEvent: (of, event) => printer.print(of, event) });
  }
}
