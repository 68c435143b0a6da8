/**
 * Builds images from recipes, one layer each on top of the image that the recipe starts from.
 *
 *   debian   mmdebstrap ──▶ staging/debian/layer ──┐
 *   python   overlay(lower = base's layers,        ├─ describe, sync, rename ──▶ layers/ ──▶ blobs/ ──▶ references/
 *            upper = staging/python/layer) ────────┘
 *
 * A build holds its image's lock from before its first write in staging/ until the name is set, so several
 * processes that want one image do the work once, and whoever gets the lock may clear what a dead one left.
 */
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { explainBuildFailure, ImageBuildError } from "./build-error.ts";
import { configurationOf } from "./configuration.ts";
import { bootstrapDebian, packageEnvironment } from "./debian.ts";
import type { StoredLayer } from "./layers.ts";
import { FileLock } from "./lock.ts";
import { Annotation } from "./oci.ts";
import { runContained } from "./process.ts";
import { loadRecipe, type Recipe, recipeDigest, RECIPES } from "./recipe.ts";
import type { ImageStore, StoredImage } from "./store.ts";

/** What a build is doing: `step` for people, `output` are the lines of the tools that it runs. */
export interface BuildProgress {
  readonly image: string;
  readonly kind: "step" | "output";
  readonly text: string;
}

export interface BuildOptions {
  /** Folder of recipes; the project's own unless stated. */
  readonly recipes?: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: BuildProgress) => void;
}

/**
 * Builds an image and what it starts from, as far as they are not up to date.
 * @throws {ImageBuildError}
 */
export async function buildImage(store: ImageStore, name: string, options: BuildOptions = {}): Promise<StoredImage> {
  return buildAfter(store, name, [], options);
}

async function buildAfter(
  store: ImageStore,
  name: string,
  dependents: readonly string[],
  options: BuildOptions,
): Promise<StoredImage> {
  if (dependents.includes(name))
    throw new ImageBuildError(name, `recipes start from each other: ${[...dependents, name].join(" from ")}`);
  const recipe = await loadRecipe(name, options.recipes ?? RECIPES);
  const base =
    "recipe" in recipe.from ? await buildAfter(store, recipe.from.recipe, [...dependents, name], options) : undefined;
  const digest = recipeDigest(recipe, base?.digest);
  const current = async () => {
    const image = await store.resolve(name);
    return image?.manifest.annotations?.[Annotation.recipe] === digest ? image : undefined;
  };

  const present = await current();
  if (present) return present;
  const waitForLock = async (path: string) => {
    options.onProgress?.({ image: name, kind: "step", text: "waiting for another process that builds it" });
    return FileLock.acquire(path, options.signal);
  };
  try {
    const path = join(store.directory, "locks", `${name}.lock`);
    await using _lock = (await FileLock.tryAcquire(path)) ?? (await waitForLock(path));
    await using _content = await store.keepContent(options.signal);
    return (await current()) ?? (await make(store, recipe, base, digest, options));
  } catch (error) {
    options.signal?.throwIfAborted();
    throw explainBuildFailure(name, store.directory, error);
  }
}

async function make(
  store: ImageStore,
  recipe: Recipe,
  base: StoredImage | undefined,
  digest: string,
  options: BuildOptions,
): Promise<StoredImage> {
  const adds = base === undefined || recipe.packages.length > 0 || recipe.commands.length > 0;
  const layer = adds ? await makeLayer(store, recipe, base, options) : undefined;
  const created = new Date().toISOString();
  return store.commit(
    recipe.name,
    configurationOf(recipe, base, layer, created),
    [...(base?.layers ?? []), ...(layer ? [layer] : [])],
    {
      [Annotation.created]: created,
      [Annotation.recipe]: digest,
      ...(base && { [Annotation.baseName]: base.reference, [Annotation.baseDigest]: base.digest }),
    },
  );
}

async function makeLayer(
  store: ImageStore,
  recipe: Recipe,
  base: StoredImage | undefined,
  options: BuildOptions,
): Promise<StoredLayer> {
  if (process.geteuid?.() !== 0)
    throw new ImageBuildError(recipe.name, "mounting its layers takes root: run the build as root");
  const signal = options.signal ?? new AbortController().signal;
  const report = (kind: BuildProgress["kind"]) => (text: string) =>
    options.onProgress?.({ image: recipe.name, kind, text });
  const step = report("step");
  const staging = join(store.directory, "staging", recipe.name);
  const [layer, work, root] = [join(staging, "layer"), join(staging, "work"), join(staging, "root")];
  await rm(staging, { recursive: true, force: true });
  for (const directory of [layer, work, root]) await mkdir(directory, { recursive: true, mode: 0o755 });

  try {
    if ("debian" in recipe.from) {
      step(`unpacking a minimal Debian ${recipe.from.debian}`);
      await bootstrapDebian(recipe.from.debian, layer, signal, report("output"));
    }
    if (recipe.packages.length > 0) step(`installing ${recipe.packages.join(", ")}`);
    // Paths relative to the store: overlayfs separates its options by commas and colons, a data directory may have them.
    const lower = base?.layers.map(({ path }) => path.slice(store.directory.length + 1)).toReversed();
    const own = `staging/${recipe.name}`;
    await runContained(join(import.meta.dirname, "assemble.sh"), [lower ? root : layer, ...recipe.packages], {
      directory: store.directory,
      environment: {
        ...packageEnvironment(),
        COMMANDS: recipe.commands.join("\n"),
        ...(lower && { LOWER_DIRS: lower.join(":"), UPPER_DIR: `${own}/layer`, WORK_DIR: `${own}/work` }),
      },
      signal,
      onLine: report("output"),
    });
    step("storing its layer");
    return await store.layers.commit(layer);
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}
