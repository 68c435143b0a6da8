import { resolve } from "node:path";
import { buildDockerfile } from "../../images/dockerfile/build-dockerfile.ts";
import type { StepRunner } from "../../images/dockerfile/step-runner.ts";
import type { ImageStore, StoredImage } from "../../images/store.ts";
import { BaseImages, type PullTime } from "./base-images.ts";
import { BuildPrinter } from "./build-printer.ts";

/** A build of the operator's own. */
export interface ContextBuild {
  /** Directory that COPY and ADD take files from. */
  readonly context: string;
  /** What the image is called; at least one name. */
  readonly names: readonly [string, ...string[]];
  /** Path of the Dockerfile, if it is not the context's. */
  readonly file: string | undefined;
  readonly arguments: ReadonlyMap<string, string>;
  readonly target: string | undefined;
  /** Of RUN. */
  readonly network: "none" | "host";
  readonly cache: "used" | "ignored";
  /** When the images that it starts from are asked for at their registries. */
  readonly pull: PullTime;
}

/**
 * Builds an image from a Dockerfile, and gets those that it starts from.
 * @throws when the Dockerfile, a step or an image that it starts from is at fault
 */
export async function buildContext(
  store: ImageStore,
  { context, names, file, target, pull, ...build }: ContextBuild,
  runner: StepRunner,
  signal: AbortSignal,
): Promise<StoredImage> {
  const printer = new BuildPrinter("verbose");
  await using bases = new BaseImages(store, { pull, runner, printer, signal });
  return await buildDockerfile(store, {
    ...build,
    context: resolve(context),
    dockerfile: file === undefined ? resolve(context, "Dockerfile") : resolve(file),
    names,
    ...(target !== undefined && { target }),
    findImage: (reference) => bases.find(reference),
    runner,
    onEvent: (event) => printer.print(names[0], event),
    signal,
  });
}
