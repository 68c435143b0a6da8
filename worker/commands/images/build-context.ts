import { resolve } from "node:path";
import { buildDockerfile } from "../../images/dockerfile/build-dockerfile.ts";
import type { StepRunner } from "../../images/dockerfile/step-runner.ts";
import { buildShippedImage, listShippedImages } from "../../images/shipped.ts";
import type { ImageStore, StoredImage } from "../../images/store.ts";
import { BuildPrinter } from "./build-printer.ts";
import { findStored } from "./find-image.ts";

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
}

/**
 * Builds an image from a Dockerfile, and those that it starts from, as far as they come with Longshore and are not here.
 * @throws when the Dockerfile, a step or an image that it starts from is at fault
 */
export async function buildContext(
  store: ImageStore,
  { context, names, file, target, ...build }: ContextBuild,
  runner: StepRunner,
  signal: AbortSignal,
): Promise<StoredImage> {
  const printer = new BuildPrinter("verbose");
  return await buildDockerfile(store, {
    ...build,
    context: resolve(context),
    dockerfile: file === undefined ? resolve(context, "Dockerfile") : resolve(file),
    names,
    ...(target !== undefined && { target }),
    findImage: async (reference) => {
      const found = await findStored(store, reference);
      if (found !== undefined) return found;
      if (!(await listShippedImages()).includes(reference)) {
        throw new Error(`image ${reference} is not here: longshore images pull ${reference}`);
      }
      return buildShippedImage(store, reference, { runner, signal, onEvent: (of, event) => printer.print(of, event) });
    },
    runner,
    onEvent: (event) => printer.print(names[0], event),
    signal,
  });
}
