/**
 * What compilers wrote, kept by what they were given: the same program is compiled once, however often it is run.
 *
 *   slot's memory ── cp ──▶ staging ── settle, in a thread ──▶ layers/<key>, for every slot
 *
 * They are a cache. What they hold need not have reached the disk when they appear: the machine's boot is a part of
 * their names, so that nothing is found that may have been lost with the power.
 */
import { readFileSync } from "node:fs";
import { settleInThread } from "../changes/pool.ts";
import { type Digest, digestOf } from "../digest.ts";
import { copyTree } from "../kept/keep-layers.ts";
import { describeLayer } from "../layer-tar.ts";
import type { StoredLayer } from "../layers.ts";
import { type LayerNotes, LeasedLayers } from "../leased-layers.ts";
import { untilSettled } from "../until-settled.ts";
import { type InputArchive, unpackBuild } from "./packed-build.ts";

/** Changes with how layers are made, so that those of an earlier version are not used. */
const VERSION = 1;

/** What a build wrote, in the slot that it ran in; `WrittenLayer` says what the fields are. */
export interface WrittenBuild {
  readonly path: string;
  readonly idBase: number;
  readonly bytesMax: number;
  readonly runtimeDirectories: readonly string[];
  /** Kept with the layer. */
  readonly note: string;
}

/** What a build wrote on another worker, as a tar that can be had. */
export interface PackedBuild {
  readonly archive: InputArchive;
  readonly note: string;
}

/** A build's layer, there until it is disposed of. */
export interface BuildLease extends AsyncDisposable {
  readonly path: string;
  /** Of its tar. */
  readonly bytes: number;
  readonly note: string;
  /** `found`: it had been built before. */
  readonly status: "found" | "built";
}

/** What a build wrote cannot be a layer; the message says why. */
export class UnusableBuildError extends Error {
  override readonly name = "UnusableBuildError";
}

export class BuildLayers {
  readonly #layers: LeasedLayers;
  readonly #boot = readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
  /** Builds that run now, by key. */
  readonly #building = new Map<Digest, Promise<void>>();

  private constructor(layers: LeasedLayers) {
    this.#layers = layers;
  }

  /** @param bytesMax what all layers together may hold, besides those in use */
  static async open(directory: string, bytesMax: number): Promise<BuildLayers> {
    return new BuildLayers(await LeasedLayers.open(directory, bytesMax));
  }

  /**
   * Finds what a build wrote, or has it built. Who wants the same at the same time waits.
   * @param inputs everything that the result depends on, as text
   * @param build undefined when it failed: nothing is kept then
   * @throws {UnusableBuildError}, what `build` throws, or the reason of `signal`
   */
  async lease(
    inputs: string,
    build: () => Promise<WrittenBuild | PackedBuild | undefined>,
    signal: AbortSignal,
  ): Promise<BuildLease | undefined> {
    const key = digestOf(JSON.stringify({ VERSION, boot: this.#boot, inputs }));
    await using leases = new AsyncDisposableStack();
    leases.use(await this.#layers.lease(key));
    for (;;) {
      const found = await this.#layers.get(key);
      if (found !== undefined) return leased(found, "found", leases.move());
      const running = this.#building.get(key);
      if (running === undefined) break;
      await untilSettled(running, signal);
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#building.set(key, promise);
    try {
      const written = await build();
      if (written === undefined) return undefined;
      const layer = await this.#layers.add(key, (directory) => takeIn(written, directory, signal), signal);
      return leased(layer, "built", leases.move());
    } finally {
      this.#building.delete(key);
      resolve();
    }
  }

  /** Removes what has not been used since a point in time. @returns how many */
  async removeUnused(since: Date): Promise<number> {
    return await this.#layers.removeUnused(since);
  }
}

function leased(
  { path, bytes, note = "" }: Pick<StoredLayer, "path" | "bytes" | "note">,
  status: BuildLease["status"],
  leases: AsyncDisposableStack,
): BuildLease {
  return { path, bytes, note, status, [Symbol.asyncDispose]: () => leases.disposeAsync() };
}

async function takeIn(build: WrittenBuild | PackedBuild, directory: string, signal: AbortSignal): Promise<LayerNotes> {
  if (!("archive" in build)) return await copyBuild(build, directory, signal);
  const { archive, note } = build;
  return { bytes: await unpackBuild(archive, directory, signal), note };
}

async function copyBuild(written: WrittenBuild, directory: string, signal: AbortSignal): Promise<LayerNotes> {
  const { path, idBase, bytesMax, runtimeDirectories, note } = written;
  await copyTree(path, directory, signal);
  const settled = await settleInThread({ directory, idBase, runtimeDirectories, bytesMax }, signal);
  if (settled.kind === "refused") throw new UnusableBuildError(settled.reason);
  const { bytes } = await describeLayer(directory);
  return { bytes, note };
}
