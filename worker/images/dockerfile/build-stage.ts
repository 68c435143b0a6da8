/** One stage, instruction by instruction: what is in the cache is taken from there, the rest is done. */
import { randomUUID } from "node:crypto";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { type DescribedLayer, describeOwnLayer } from "../described-layers.ts";
import type { StoredLayer } from "../layers.ts";
import type { ImageConfig } from "../oci.ts";
import type { ImageStore } from "../store.ts";
import type { BuildCache, CachedStep } from "./build-cache.ts";
import type { BuildContext } from "./context.ts";
import { copyInto } from "./copy.ts";
import { DockerfileError } from "./error.ts";
import { isDirectory, resolveIn } from "../tree/file-tree.ts";
import type { Instruction } from "./instruction.ts";
import { type CopyWork, type DirectoryWork, interpret, type RunWork, type Work } from "./interpret.ts";
import { LayerDraft } from "./layer-draft.ts";
import { LayeredTree } from "../tree/layered-tree.ts";
import { digestSources, findSources } from "./sources.ts";
import type { BuildValues, StageState } from "./stage-state.ts";
import type { Stage } from "./stages.ts";
import type { StepRunner } from "./step-runner.ts";
import { resolveUser } from "../tree/users.ts";

/** What a stage has come to. */
export interface StageResult {
  readonly state: StageState;
  /** Lowest first. */
  readonly layers: readonly DescribedLayer[];
  readonly history: NonNullable<ImageConfig["history"]>;
}

/** What is said of a build while it goes on. */
export interface BuildReport {
  /** Begins an instruction. */
  readonly step: (text: string) => void;
  /** What was begun is taken from the cache. */
  readonly cached: () => void;
  /** A line that a RUN printed. */
  readonly output: (line: string) => void;
}

/** What all stages of a build share. */
export interface StageSurroundings {
  readonly store: ImageStore;
  readonly file: string;
  readonly values: BuildValues;
  readonly context: BuildContext;
  readonly cache: BuildCache;
  readonly cacheUse: "read and written" | "written";
  readonly runner: StepRunner;
  readonly report: BuildReport;
  readonly signal: AbortSignal;
  /** Layers of what `COPY --from` names. */
  readonly layersOf: (stage: Stage, from: string) => readonly StoredLayer[];
}

/** @throws {DockerfileError} at the instruction that fails */
export async function buildStage(stage: Stage, base: StageResult, around: StageSurroundings): Promise<StageResult> {
  let { state } = base;
  const layers = [...base.layers];
  const history = [...base.history];
  for (const instruction of stage.instructions) {
    around.signal.throwIfAborted();
    around.report.step(instruction.text);
    try {
      const step = interpret(state, instruction, around.values);
      const done =
        step.work && (await perform(step.work, { state, layers: layers.map(({ layer }) => layer), stage, around }));
      state = step.state;
      if (done?.layer !== undefined) layers.push(describeOwnLayer(done.layer));
      history.push(historyOf(instruction, done));
    } catch (error) {
      around.signal.throwIfAborted();
      if (error instanceof DockerfileError || !(error instanceof Error)) throw error;
      throw new DockerfileError(around.file, instruction.line, error.message, { cause: error });
    }
  }
  return { state, layers, history };
}

function historyOf({ text }: Instruction, done: CachedStep | undefined): StageResult["history"][number] {
  return {
    ...(done !== undefined && { created: done.created }),
    created_by: text,
    ...(done?.layer === undefined && { empty_layer: true }),
  };
}

interface Situation {
  readonly state: StageState;
  readonly layers: readonly StoredLayer[];
  readonly stage: Stage;
  readonly around: StageSurroundings;
}

async function perform(work: Work, situation: Situation): Promise<CachedStep> {
  switch (work.kind) {
    case "run":
      return run(work, situation);
    case "copy":
      return copy(work, situation);
    case "directory":
      return makeDirectory(work, situation);
    default:
      return work satisfies never;
  }
}

/** Takes a step from the cache, or makes its layer in a directory that is gone afterwards. */
async function cachedOr(
  parts: readonly unknown[],
  { layers, around }: Situation,
  make: (staging: string) => Promise<string | undefined>,
): Promise<CachedStep> {
  const key = around.cache.keyOf(layers, parts);
  const cached = around.cacheUse === "written" ? undefined : await around.cache.find(key);
  if (cached !== undefined) {
    around.report.cached();
    return cached;
  }
  const staging = join(around.store.directory, "staging", `build-${process.pid}-${randomUUID()}`);
  await mkdir(staging, { mode: 0o700 });
  try {
    const directory = await make(staging);
    const layer = directory === undefined ? undefined : await around.store.layers.commit(directory);
    const step = { layer, created: new Date().toISOString() };
    await around.cache.put(key, step);
    return step;
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

async function run(work: RunWork, situation: Situation): Promise<CachedStep> {
  const { around, layers } = situation;
  const { proxies: _, ...decisive } = work;
  return cachedOr([decisive], situation, async (staging) => {
    const lowerDirs = await around.store.stack(layers);
    using tree = new LayeredTree(lowerDirs);
    const scratchDirectory = join(staging, "scratch");
    await mkdir(scratchDirectory);
    const directory = resolveIn(tree, work.workingDirectory);
    if (!isDirectory(directory))
      throw new Error(`${work.workingDirectory} is not a directory of the image: set WORKDIR`);
    const ending = await around.runner.run(
      { work, user: resolveUser(tree, work.user), lowerDirs, scratchDirectory, onLine: around.report.output },
      around.signal,
    );
    if (ending.kind === "succeeded") return ending.changes === "changed" ? ending.directory : undefined;
    const hint =
      work.network === "none" && ending.lines.some((line) => NETWORK_TROUBLE.test(line))
        ? "\nthe step has no network: start the build with --network host if it may have the host's"
        : "";
    throw new Error(
      `the command ended with ${ending.ending}${hint}${ending.lines.map((line) => `\n  ${line}`).join("")}`,
    );
  });
}

const NETWORK_TROUBLE = /resolv|Network is unreachable|Could not connect|Unable to connect|getaddrinfo|EAI_AGAIN/i;

async function copy(work: CopyWork, situation: Situation): Promise<CachedStep> {
  const { around, stage } = situation;
  if (work.from === undefined) {
    const sources = findSources(around.context, work.sources, around.context);
    return cachedOr([work, digestSources(around.context, sources)], situation, async (staging) =>
      draftLayer(staging, situation, async (draft) => copyInto(draft, work, around.context, sources)),
    );
  }
  const from = around.layersOf(stage, work.from);
  // Where the files come from is told by the digests of its layers, whatever it is called.
  const { from: __, ...decisive } = work;
  return cachedOr([decisive, from.map(({ digest }) => digest)], situation, async (staging) => {
    using tree = await openLayers(around.store, from);
    return await draftLayer(staging, situation, async (draft) =>
      copyInto(draft, work, tree, findSources(tree, work.sources)),
    );
  });
}

async function makeDirectory(work: DirectoryWork, situation: Situation): Promise<CachedStep> {
  {
    using tree = await openLayers(situation.around.store, situation.layers);
    if (isDirectory(resolveIn(tree, work.path))) return { layer: undefined, created: new Date().toISOString() };
  }
  const user = situation.state.settings.User ?? "";
  return cachedOr([work, user], situation, async (staging) =>
    draftLayer(staging, situation, async (draft) => {
      const { uid, gid } = resolveUser(draft, user);
      draft.makeDirectory(work.path, { uid, gid, mode: 0o755 });
    }),
  );
}

async function draftLayer(
  staging: string,
  { layers, around }: Situation,
  write: (draft: LayerDraft) => Promise<void>,
): Promise<string> {
  using tree = await openLayers(around.store, layers);
  const directory = join(staging, "layer");
  await mkdir(directory);
  const draft = new LayerDraft(directory, tree);
  await write(draft);
  draft.finish();
  return directory;
}

async function openLayers(store: ImageStore, layers: readonly StoredLayer[]): Promise<LayeredTree> {
  return new LayeredTree(await store.stack(layers));
}
