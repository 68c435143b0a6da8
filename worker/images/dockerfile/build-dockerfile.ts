/**
 * Builds an image from a Dockerfile.
 *
 *   text ─ parse ─▶ instructions ─ plan ─▶ stages ─ for each: interpret ─▶ work ─▶ cache or
 *                                                                                  RUN   in a container
 *                                                                                  COPY  in a draft
 *                                                                            └▶ layer, then config and manifest
 *
 * Garbage collection waits from the first layer to the name, so that none is taken away in between.
 */
import { readFile } from "node:fs/promises";
import { relative } from "node:path";
import { describeLayersOf } from "../described-layers.ts";
import { Annotation, hostArchitecture, type ImageConfig } from "../oci.ts";
import type { ImageStore, StoredImage } from "../store.ts";
import type { StoredLayer } from "../layers.ts";
import { BuildCache } from "./build-cache.ts";
import { buildStage, type StageResult } from "./build-stage.ts";
import { BuildContext } from "./context.ts";
import { DockerfileError } from "./error.ts";
import { parseDockerfile } from "./parse.ts";
import { beginStage, buildValues, continueStage } from "./stage-state.ts";
import { type BuildPlan, type Origin, planBuild, type Stage } from "./stages.ts";
import type { StepRunner } from "./step-runner.ts";

export type BuildEvent =
  /** An instruction begins: the `number`th of `total`. */
  | { readonly kind: "step"; readonly number: number; readonly total: number; readonly text: string }
  /** The last step's result was there already. */
  | { readonly kind: "cached" }
  /** A line that the last step printed. */
  | { readonly kind: "output"; readonly text: string }
  | { readonly kind: "warning"; readonly text: string };

export interface DockerfileBuild {
  /** Directory that COPY and ADD take files from. */
  readonly context: string;
  /** Path of the Dockerfile, which need not be in the context. */
  readonly dockerfile: string;
  /** What errors call the Dockerfile; its path unless stated, from the working directory if it lies there. */
  readonly displayName?: string;
  /** What the image is called; at least one name. */
  readonly names: readonly [string, ...string[]];
  /** Values for ARGs. */
  readonly arguments?: ReadonlyMap<string, string>;
  /** Stage to stop at. */
  readonly target?: string;
  /** Network of RUN. */
  readonly network: "none" | "host";
  /** `ignored`: every step is done anew, for later builds to use. */
  readonly cache: "used" | "ignored";
  readonly annotations?: Readonly<Record<string, string>>;
  /** Finds the image of a FROM or a `COPY --from`; asked for each once, before the first step. @throws when it cannot be had */
  readonly findImage: (reference: string) => Promise<StoredImage>;
  readonly runner: StepRunner;
  readonly onEvent: (event: BuildEvent) => void;
  readonly signal: AbortSignal;
}

/** @throws {DockerfileError} for what the Dockerfile says, and for a step that fails */
export async function buildDockerfile(store: ImageStore, build: DockerfileBuild): Promise<StoredImage> {
  const given = build.arguments ?? new Map<string, string>();
  const file = build.displayName ?? shortest(build.dockerfile);
  const text = await readDockerfile(build.dockerfile, file);
  const plan = planBuild(parseDockerfile(text, file), {
    arguments: given,
    ...(build.target !== undefined && { target: build.target }),
  });
  for (const name of plan.unusedArguments) {
    build.onEvent({ kind: "warning", text: `no ARG takes the build argument ${name}` });
  }

  // Before content is kept: what brings an image here may have to make room for it.
  const images = await findImages(plan, build, file);
  await using _content = await store.keepContent(build.signal);
  using context = new BuildContext(build.context, build.dockerfile);
  const cache = await BuildCache.open(store);
  const values = buildValues(plan, given, build.network);
  const total = plan.stages.reduce((sum, { instructions }) => sum + 1 + instructions.length, 0);
  let number = 0;
  const step = (words: string) => build.onEvent({ kind: "step", number: ++number, total, text: words });

  const results = new Map<number, StageResult>();
  const begin = ({ origin, from }: Stage): StageResult => {
    if (origin.kind === "scratch") return { state: beginStage(undefined), layers: [], history: [] };
    if (origin.kind === "image") return startFrom(found(images, origin.reference), file, from.line);
    const { state, ...rest } = found(results, origin.index);
    return { ...rest, state: continueStage(state) };
  };
  const layersOf = (stage: Stage, name: string): readonly StoredLayer[] => {
    const origin = found(stage.copiesFrom, name);
    if (origin.kind === "scratch") return [];
    if (origin.kind === "image") return found(images, origin.reference).layers;
    return found(results, origin.index).layers.map(({ layer }) => layer);
  };

  let last: StageResult | undefined;
  for (const stage of plan.stages) {
    step(stage.from.text);
    last = await buildStage(stage, begin(stage), {
      store,
      file,
      values,
      context,
      cache,
      cacheUse: build.cache === "used" ? "read and written" : "written",
      runner: build.runner,
      report: {
        step,
        cached: () => build.onEvent({ kind: "cached" }),
        output: (line) => build.onEvent({ kind: "output", text: line }),
      },
      signal: build.signal,
      layersOf,
    });
    results.set(stage.index, last);
  }
  if (last === undefined) throw new DockerfileError(file, 1, "there is no stage");
  return commit(store, build, last);
}

/** From the working directory where the path lies below it: a way up says less than the path itself. */
function shortest(path: string): string {
  const fromHere = relative(process.cwd(), path);
  return fromHere.startsWith("..") ? path : fromHere;
}

/** The images that the plan needs, by their references. @throws {DockerfileError} at who names one that cannot be had */
async function findImages(
  { stages }: BuildPlan,
  { findImage, signal }: DockerfileBuild,
  file: string,
): Promise<ReadonlyMap<string, StoredImage>> {
  const images = new Map<string, StoredImage>();
  for (const { line, origin } of stages.flatMap(originsOf)) {
    if (origin.kind !== "image" || images.has(origin.reference)) continue;
    try {
      images.set(origin.reference, await findImage(origin.reference));
    } catch (error) {
      signal.throwIfAborted();
      throw new DockerfileError(file, line, error instanceof Error ? error.message : String(error), { cause: error });
    }
  }
  return images;
}

/** What a stage starts from and copies from, and the lines that say so. */
function originsOf({ from, origin, instructions, copiesFrom }: Stage): { line: number; origin: Origin }[] {
  const copies = [...copiesFrom].map(([name, copied]) => {
    const { line } = instructions.find((one) => one.keyword === "COPY" && one.from === name) ?? from;
    return { line, origin: copied };
  });
  return [{ line: from.line, origin }, ...copies];
}

async function readDockerfile(path: string, file: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const isAbsent = error instanceof Error && "code" in error && ["ENOENT", "ENOTDIR"].includes(String(error.code));
    if (!isAbsent) throw error;
    throw new Error(`there is no ${file}: name the Dockerfile with -f`, { cause: error });
  }
}

/** What is there: stages come after those that they need, and images have been looked for. */
function found<Key, Value>(values: ReadonlyMap<Key, Value>, key: Key): Value {
  const value = values.get(key);
  if (value === undefined) throw new RangeError(`${String(key)} is not in the plan of this build`);
  return value;
}

/** A stage on top of an image. What the image would have its children do is not ours to do. */
function startFrom(image: StoredImage, file: string, line: number): StageResult {
  const triggers = image.config.config["OnBuild"];
  if (Array.isArray(triggers) && triggers.length > 0) {
    throw new DockerfileError(file, line, `image ${image.reference} has ONBUILD instructions, which are not supported`);
  }
  return { state: beginStage(image.config), layers: describeLayersOf(image), history: image.config.history ?? [] };
}

async function commit(store: ImageStore, build: DockerfileBuild, result: StageResult): Promise<StoredImage> {
  const { state, layers, history } = result;
  // The last change's time, and not now: the same build gives the same image.
  const created = history.findLast((entry) => entry.created !== undefined)?.created ?? new Date().toISOString();
  const config: ImageConfig = {
    created,
    ...(state.author !== undefined && { author: state.author }),
    architecture: hostArchitecture(),
    os: "linux",
    config: state.settings,
    rootfs: { type: "layers", diff_ids: layers.map(({ layer }) => layer.digest) },
    history: [...history],
  };
  return store.commitDescribed(build.names, config, layers, { [Annotation.created]: created, ...build.annotations });
}
