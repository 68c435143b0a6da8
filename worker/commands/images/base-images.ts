/**
 * The images that a build starts from, or copies files from, and where they are got where they are not here:
 *
 *   comes with Longshore   built
 *   else                   pulled from its registry, by `--pull`
 *
 * `docker build` has both: `missing` is what it does, `always` what it does with its `--pull`. The policy about jobs has no
 * say here: who types a build wants what its Dockerfile names.
 */
import { loadConfig } from "../../../shared/config.ts";
import type { PullPolicy } from "../../../shared/config/image-variables.ts";
import { isDigest } from "../../../shared/digest.ts";
import { isCanonical, parseReference } from "../../../shared/image-reference.ts";
import type { StepRunner } from "../../images/dockerfile/step-runner.ts";
import { registrySettings } from "../../images/registry/settings.ts";
import { buildShippedImage, listShippedImages } from "../../images/shipped.ts";
import type { ImageStore, StoredImage } from "../../images/store.ts";
import type { BuildPrinter } from "./build-printer.ts";
import { findStored } from "./find-image.ts";
import { displayed } from "./transfer-display.ts";

/** `always`: also where it is here, since its name may have moved. */
export type PullTime = PullPolicy["when"];

export const PULL_TIMES = ["always", "missing", "never"] as const satisfies readonly PullTime[];

interface BaseImagesOptions {
  readonly pull: PullTime;
  /** Of the steps of images that come with Longshore. */
  readonly runner: StepRunner;
  readonly printer: BuildPrinter;
  readonly signal: AbortSignal;
}

/** Images that were found stay until it is disposed of, whoever collects garbage or makes room. */
export class BaseImages implements AsyncDisposable {
  readonly #store: ImageStore;
  readonly #options: BaseImagesOptions;
  readonly #leases = new AsyncDisposableStack();

  constructor(store: ImageStore, options: BaseImagesOptions) {
    this.#store = store;
    this.#options = options;
  }

  /** @throws when it is not here, and cannot or must not be got */
  async find(reference: string): Promise<StoredImage> {
    const { reference: name } = await this.#get(reference);
    const lease = await this.#store.lease(name);
    if (lease === undefined) throw new Error(`image ${reference} was removed as soon as it was here: build once more`);
    return this.#leases.use(lease).image;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#leases.disposeAsync();
  }

  async #get(reference: string): Promise<StoredImage> {
    const { pull, runner, printer, signal } = this.#options;
    const stored = await findStored(this.#store, reference);
    if (stored !== undefined && !(pull === "always" && mayHaveMoved(stored.reference))) return stored;
    if (stored === undefined && (await listShippedImages()).includes(reference)) {
      return buildShippedImage(this.#store, reference, { runner, signal, onEvent: printer.print.bind(printer) });
    }
    if (isDigest(reference)) throw new Error(`image ${reference} is not here, and a digest does not say where it is`);
    if (pull === "never")
      throw new Error(
        `image ${reference} is not here: longshore images pull ${reference}, or build with --pull missing`,
      );
    const settings = registrySettings(loadConfig(process.env), process.env);
    // An HTTP client of 28 MB, which few builds need.
    const { pullImage } = await import("../../images/registry/pull.ts");
    return displayed((onProgress) => pullImage(this.#store, reference, settings, { signal, onProgress }));
  }
}

/** Names of registries' images may mean something else by now; digests, and names of our own, cannot. */
function mayHaveMoved(reference: string): boolean {
  return isCanonical(reference) && parseReference(reference).digest === undefined;
}
