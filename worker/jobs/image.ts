/**
 * How a job gets its image:
 *
 *   of a language   the store ──────────────────────────▶ lease, or fail: presets are built, never pulled
 *   by name         the store ── absent, or `always` ──▶ policy ──▶ pull ──▶ the store ──▶ lease
 *
 * A name is a client's: it decides which host the worker talks to. So only registries that the operator has named are
 * asked, and under `never` none is.
 */
import type { PullPolicy } from "../../shared/config/image-variables.ts";
import { isDigest } from "../../shared/digest.ts";
import { isCanonical, namesOf, parseReference, type Reference } from "../../shared/image-reference.ts";
import type { RunRequest } from "../../shared/job-request.ts";
import type { Preset } from "../../shared/presets.ts";
import { explainPullFailure, type PullFailure } from "../images/registry/pull-failure.ts";
import type { ImagePuller } from "../images/registry/puller.ts";
import type { ImageLease, ImageStore } from "../images/store.ts";

/** Where images come from. */
export interface ImageSources {
  readonly images: ImageStore;
  readonly puller: ImagePuller;
  readonly pull: PullPolicy;
  /** Id of the worker. */
  readonly worker: string;
  readonly onImageLookup: (answer: "hit" | "miss") => void;
  readonly onImagePull: (milliseconds: number) => void;
  /** Called when a job begins to wait for a pull. */
  readonly onPullBegin?: () => void;
}

/** An image that a job has until the lease is disposed of. */
export interface AcquiredImage {
  readonly kind: "acquired";
  readonly lease: ImageLease;
  /** Milliseconds that its pull took; 0 when there was none. */
  readonly pullMs: number;
}

export type ImageFailure = { readonly kind: "failed" } & PullFailure;

/**
 * Finds the image of a request, and pulls it where that has to be and may be.
 * @throws the reason of `signal`
 */
export async function acquireImage(
  request: Pick<RunRequest, "image">,
  preset: Preset | undefined,
  sources: ImageSources,
  signal: AbortSignal,
): Promise<AcquiredImage | ImageFailure> {
  const name = preset?.image ?? request.image ?? "";
  let stored: ImageLease | undefined;
  try {
    // A registry may have something of a language's name: that is not the language's image.
    stored = await leaseFirst(sources.images, preset === undefined ? namesOf(name) : [name]);
  } catch (error) {
    return failure("image_unavailable", error instanceof Error ? error.message : String(error), "worthwhile");
  } finally {
    sources.onImageLookup(stored === undefined ? "miss" : "hit");
  }
  if (stored !== undefined && (preset !== undefined || !asksAgain(stored.image.reference, sources.pull)))
    return { kind: "acquired", lease: stored, pullMs: 0 };
  await stored?.[Symbol.asyncDispose]();
  if (preset === undefined) return await pull(name, sources, signal);
  const message = `image ${name} is not on worker ${sources.worker}: build it there with longshore images build ${name}`;
  // Nothing at all is there: something has happened to this worker, and not to the others, it is hoped.
  const isEmpty = (await sources.images.references.list()).length === 0;
  return failure("image_unavailable", message, isEmpty ? "worthwhile" : "pointless");
}

/** Whether a job may have an image of this name pulled. */
export function mayBePulled(name: string, { when, registries }: PullPolicy): boolean {
  if (when === "never" || isDigest(name)) return false;
  const reference = readReference(name);
  return "registry" in reference && registries.includes(reference.registry);
}

/**
 * What metrics call an image: its name, unless clients can invent it, which they can of a registry's images where they
 * may have them pulled.
 */
export function imageLabel(reference: string, { when }: PullPolicy): string {
  return when !== "never" && (isDigest(reference) || isCanonical(reference)) ? "pulled" : reference;
}

async function leaseFirst(images: ImageStore, names: readonly string[]): Promise<ImageLease | undefined> {
  for (const name of names) {
    const lease = await images.lease(name);
    if (lease !== undefined) return lease;
  }
  return undefined;
}

/** Under `always`, names of registries' images may mean something else by now; digests, and names of our own, cannot. */
function asksAgain(reference: string, policy: PullPolicy): boolean {
  if (policy.when !== "always" || !isCanonical(reference)) return false;
  const { registry, digest } = parseReference(reference);
  return digest === undefined && policy.registries.includes(registry);
}

async function pull(name: string, sources: ImageSources, signal: AbortSignal): Promise<AcquiredImage | ImageFailure> {
  const absent = `image ${name} is not on worker ${sources.worker}`;
  // A digest alone says nothing about where to ask.
  if (isDigest(name)) return failure("image_not_found", absent);
  const reference = readReference(name);
  if ("kind" in reference) return reference;
  if (sources.pull.when === "never")
    return failure(
      "pull_forbidden",
      `${absent}, and LONGSHORE_PULL is never: pull it there with longshore images pull`,
    );
  if (!sources.pull.registries.includes(reference.registry)) {
    const registries = `jobs may not pull from ${reference.registry}: see LONGSHORE_PULL_REGISTRIES`;
    return failure("pull_forbidden", `${absent}, and ${registries}`);
  }
  const beganMs = performance.now();
  sources.onPullBegin?.();
  try {
    const image = await sources.puller.pull(reference, signal);
    const lease = await sources.images.lease(image.reference);
    const pullMs = Math.round((performance.now() - beganMs) * 1000) / 1000;
    sources.onImagePull(pullMs);
    if (lease !== undefined) return { kind: "acquired", lease, pullMs };
    return failure("image_unavailable", `image ${name} was removed as soon as it was pulled`, "worthwhile");
  } catch (error) {
    signal.throwIfAborted();
    return { kind: "failed", ...explainPullFailure(error) };
  }
}

function readReference(name: string): Reference | ImageFailure {
  try {
    return parseReference(name);
  } catch (error) {
    return { kind: "failed", ...explainPullFailure(error) };
  }
}

function failure(code: PullFailure["code"], message: string, retry: PullFailure["retry"] = "pointless"): ImageFailure {
  return { kind: "failed", code, message, retry };
}
