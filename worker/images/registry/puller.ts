/**
 * Pulls for many who ask at once: those who want one image share one pull, which goes on for as long as anybody waits.
 *
 *   job ──┐
 *   job ──┼─▶ name ──▶ one pull ──▶ store
 *   order ┘             ends with the last who waits, or when it takes too long
 *
 * Processes that share a store do the work once, too, by the locks of its layers (`ImageAddition`).
 */
import { formatReference, type Reference } from "../../../shared/image-reference.ts";
import type { ImageStore, StoredImage } from "../store.ts";
import { TransientError } from "./registry-error.ts";
import type { RegistrySettings } from "./settings.ts";

/**
 * How long a pull may take, in milliseconds. Somebody's job holds a place meanwhile, and a registry that sends a byte now
 * and then would have it for ever. What was downloaded stays, so that another pull goes on from there.
 */
const PULL_MS_MAX = 15 * 60_000;

interface SharedPull {
  readonly image: Promise<StoredImage>;
  readonly abort: AbortController;
  waiting: number;
}

export class ImagePuller {
  readonly #store: ImageStore;
  readonly #settings: RegistrySettings;
  readonly #underWay = new Map<string, SharedPull>();

  constructor(store: ImageStore, settings: RegistrySettings) {
    this.#store = store;
    this.#settings = settings;
  }

  /**
   * Pulls an image, as far as it is not here, or waits for the pull of it that is under way.
   * @returns the image under its canonical name
   * @throws what `explainPullFailure` explains; the reason of `signal`
   */
  async pull(reference: Reference, signal: AbortSignal): Promise<StoredImage> {
    signal.throwIfAborted();
    const name = formatReference(reference);
    const shared = this.#underWay.get(name) ?? this.#begin(name);
    const aborted = Promise.withResolvers<never>();
    const leave = (): void => aborted.reject(signal.reason);
    signal.addEventListener("abort", leave, { once: true });
    shared.waiting += 1;
    try {
      return await Promise.race([shared.image, aborted.promise]);
    } finally {
      signal.removeEventListener("abort", leave);
      shared.waiting -= 1;
      if (shared.waiting === 0) this.#end(name, shared);
    }
  }

  #begin(name: string): SharedPull {
    const abort = new AbortController();
    const shared = { image: this.#pull(name, abort.signal), abort, waiting: 0 };
    this.#underWay.set(name, shared);
    // Whoever comes from now on asks the registry anew.
    const forget = (): void => this.#forget(name, shared);
    shared.image.then(forget, forget);
    return shared;
  }

  async #pull(name: string, abandoned: AbortSignal): Promise<StoredImage> {
    const deadline = AbortSignal.timeout(PULL_MS_MAX);
    try {
      // An HTTP client of 28 MB, which few workers ever need.
      const { pullImage } = await import("./pull.ts");
      return await pullImage(this.#store, name, this.#settings, { signal: AbortSignal.any([abandoned, deadline]) });
    } catch (error) {
      if (!deadline.aborted) throw error;
      throw new TransientError(`image ${name}: its pull took longer than ${PULL_MS_MAX / 60_000} minutes`, {});
    }
  }

  #end(name: string, shared: SharedPull): void {
    shared.abort.abort();
    this.#forget(name, shared);
  }

  #forget(name: string, shared: SharedPull): void {
    if (this.#underWay.get(name) === shared) this.#underWay.delete(name);
  }
}
