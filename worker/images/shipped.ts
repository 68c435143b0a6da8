/**
 * The images that Longshore comes with: `infra/images/<name>/Dockerfile`, all of them on `debian`.
 *
 *   debian   mmdebstrap ─▶ base.tar ─┐
 *            bootstrap.json          ├─ context ─▶ Dockerfile ─▶ image
 *   python   its folder ─────────────┘
 *
 * An image carries a digest of what it was built from; while that is the same, there is nothing to do. A build holds
 * its image's lock until the name is set, so several processes that want one image do the work once.
 */
import { cp, mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { SHIPPED_IMAGES } from "../../shared/presets.ts";
import { explainBuildFailure, ImageBuildError } from "./build-error.ts";
import { bootstrapDebian, packageEnvironment } from "./debian.ts";
import { type Digest, digestOf } from "./digest.ts";
import { buildDockerfile, type BuildEvent } from "./dockerfile/build-dockerfile.ts";
import { parseDockerfile } from "./dockerfile/parse.ts";
import { planBuild } from "./dockerfile/stages.ts";
import type { StepRunner } from "./dockerfile/step-runner.ts";
import { LAYER_TAR_VERSION } from "./layer-tar.ts";
import { FileLock } from "./lock.ts";
import { Annotation } from "./oci.ts";
import type { ImageStore, StoredImage } from "./store.ts";

/** What a build is doing: steps for people, and what the tools print that it runs. */
export type ShippedBuildEvent =
  BuildEvent | { readonly kind: "waiting" } | { readonly kind: "bootstrap"; readonly release: string };

export interface ShippedBuild {
  readonly runner: StepRunner;
  /** Folder of the images' folders; the project's own unless stated. */
  readonly directory?: string;
  readonly signal?: AbortSignal;
  readonly onEvent?: (image: string, event: ShippedBuildEvent) => void;
}

/** In the folder of an image that starts from nothing: which Debian its context gets as `base.tar`. */
const bootstrap = z.strictObject({ debian: z.string().regex(/^[a-z]+$/) });
const BASE_ARCHIVE = "base.tar";

/** Names of all images with a Dockerfile, sorted. */
export async function listShippedImages(directory: string = SHIPPED_IMAGES): Promise<string[]> {
  const files = await readdir(directory, { recursive: true });
  return files
    .flatMap((path) => /^([^/]+)\/Dockerfile$/.exec(path)?.[1] ?? [])
    .sort((one, other) => (one < other ? -1 : 1));
}

/**
 * Builds an image and what it starts from, as far as they are not up to date. Its steps may use the host's network.
 * @throws {ImageBuildError}
 */
export async function buildShippedImage(store: ImageStore, name: string, build: ShippedBuild): Promise<StoredImage> {
  const names = await listShippedImages(build.directory);
  return new ShippedBuilder(store, build, names).build(name, []);
}

class ShippedBuilder {
  readonly #store: ImageStore;
  readonly #options: ShippedBuild;
  readonly #names: readonly string[];
  readonly #directory: string;
  readonly #signal: AbortSignal;

  constructor(store: ImageStore, options: ShippedBuild, names: readonly string[]) {
    this.#store = store;
    this.#options = options;
    this.#names = names;
    this.#directory = options.directory ?? SHIPPED_IMAGES;
    this.#signal = options.signal ?? new AbortController().signal;
  }

  /** @param dependents the images that wait for this one */
  async build(name: string, dependents: readonly string[]): Promise<StoredImage> {
    if (!this.#names.includes(name)) {
      throw new ImageBuildError(name, `there is no ${name}/Dockerfile: there are ${this.#names.join(", ")}`);
    }
    if (dependents.includes(name)) {
      throw new ImageBuildError(name, `images start from each other: ${[...dependents, name].join(" from ")}`);
    }
    try {
      const bases = await this.#buildBases(name, dependents);
      const digest = await this.#digestOf(name, bases);
      return (await this.#current(name, digest)) ?? (await this.#buildAlone(name, digest, bases));
    } catch (error) {
      this.#signal.throwIfAborted();
      throw explainBuildFailure(name, this.#store.directory, error);
    }
  }

  async #buildBases(name: string, dependents: readonly string[]): Promise<ReadonlyMap<string, StoredImage>> {
    const path = join(this.#directory, name, "Dockerfile");
    const { stages } = planBuild(parseDockerfile(await readFile(path, "utf8"), path));
    const bases = new Map<string, StoredImage>();
    for (const origin of stages.flatMap(({ origin, copiesFrom }) => [origin].concat(...copiesFrom.values()))) {
      if (origin.kind !== "image" || bases.has(origin.reference)) continue;
      bases.set(origin.reference, await this.build(origin.reference, [...dependents, name]));
    }
    return bases;
  }

  /** Of all that decides what comes of a build, but for what its steps download. */
  async #digestOf(name: string, bases: ReadonlyMap<string, StoredImage>): Promise<Digest> {
    const folder = join(this.#directory, name);
    const files = (await readdir(folder, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile() && entry.name !== "preset.json")
      .map((entry) => join(entry.parentPath, entry.name))
      .sort((one, other) => (one < other ? -1 : 1));
    const contents = await Promise.all(
      files.map(async (path) => [path.slice(folder.length), digestOf(await readFile(path))]),
    );
    return digestOf(JSON.stringify([LAYER_TAR_VERSION, contents, [...bases.values()].map(({ digest }) => digest)]));
  }

  async #current(name: string, digest: Digest): Promise<StoredImage | undefined> {
    const image = await this.#store.resolve(name);
    return image?.manifest.annotations?.[Annotation.recipe] === digest ? image : undefined;
  }

  async #buildAlone(name: string, digest: Digest, bases: ReadonlyMap<string, StoredImage>): Promise<StoredImage> {
    if (process.geteuid?.() !== 0) {
      throw new ImageBuildError(name, "its files belong to many users: run the build as root");
    }
    const path = join(this.#store.directory, "locks", `${name}.lock`);
    await using _lock = (await FileLock.tryAcquire(path)) ?? (await this.#waitForLock(name, path));
    return (await this.#current(name, digest)) ?? (await this.#make(name, digest, bases));
  }

  async #waitForLock(name: string, path: string): Promise<FileLock> {
    this.#options.onEvent?.(name, { kind: "waiting" });
    return FileLock.acquire(path, this.#signal);
  }

  async #make(name: string, digest: Digest, bases: ReadonlyMap<string, StoredImage>): Promise<StoredImage> {
    // What is in staging/ is garbage to a collection that runs meanwhile.
    await using _content = await this.#store.keepContent(this.#signal);
    // The lock is ours: whatever is here, a build left that was killed.
    const context = join(this.#store.directory, "staging", `context-${name}`);
    await rm(context, { recursive: true, force: true });
    try {
      await mkdir(context, { mode: 0o700 });
      await cp(join(this.#directory, name), context, { recursive: true });
      await this.#bootstrap(name, context);
      const [first] = bases;
      return await buildDockerfile(this.#store, {
        context,
        dockerfile: join(context, "Dockerfile"),
        displayName: join(name, "Dockerfile"),
        names: [name],
        arguments: hostProxies(),
        network: "host",
        cache: "used",
        annotations: {
          [Annotation.recipe]: digest,
          ...(first && { [Annotation.baseName]: first[0], [Annotation.baseDigest]: first[1].digest }),
        },
        findImage: async (reference) => {
          const image = bases.get(reference);
          if (image === undefined) throw new Error(`image ${reference} is not here`);
          return image;
        },
        runner: this.#options.runner,
        onEvent: (event) => this.#options.onEvent?.(name, event),
        signal: this.#signal,
      });
    } finally {
      await rm(context, { recursive: true, force: true });
    }
  }

  async #bootstrap(name: string, context: string): Promise<void> {
    const path = join(context, "bootstrap.json");
    const text = await readFile(path, "utf8").catch(() => undefined);
    if (text === undefined) return;
    const { debian: release } = bootstrap.parse(JSON.parse(text));
    this.#options.onEvent?.(name, { kind: "bootstrap", release });
    const onLine = (line: string) => this.#options.onEvent?.(name, { kind: "output", text: line });
    await bootstrapDebian(release, join(context, BASE_ARCHIVE), this.#signal, onLine);
  }
}

/** Steps reach the network the way this host does. */
function hostProxies(): ReadonlyMap<string, string> {
  const { http_proxy, https_proxy, no_proxy } = packageEnvironment();
  return new Map(
    Object.entries({ http_proxy, https_proxy, no_proxy }).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, value] as const],
    ),
  );
}
