import type { ErrorCode } from "../../../shared/errors.ts";
import { ReferenceError } from "../../../shared/image-reference.ts";
import { ImageRefusedError } from "../addition.ts";
import { StoreFullError } from "../room.ts";
import { RegistryError, TransientError, UnreachableError } from "./registry-error.ts";

/** Why an image could not be pulled, in the words that clients are told. */
export interface PullFailure {
  readonly code: Extract<
    ErrorCode,
    "image_not_found" | "image_unusable" | "image_unavailable" | "pull_forbidden" | "registry_unreachable"
  >;
  readonly message: string;
  /** Whether another attempt may fare better. */
  readonly retry: "worthwhile" | "pointless";
}

/** Tells what a failed pull means: that there is no such image, that we may not have it, that nobody answers, … */
export function explainPullFailure(error: unknown): PullFailure {
  const message = error instanceof Error ? error.message : String(error);
  return { message, ...classify(error) };
}

function classify(error: unknown): Omit<PullFailure, "message"> {
  if (error instanceof ReferenceError) return { code: "image_not_found", retry: "pointless" };
  if (error instanceof TransientError) return { code: "registry_unreachable", retry: "worthwhile" };
  if (error instanceof UnreachableError) return { code: "registry_unreachable", retry: "pointless" };
  if (error instanceof RegistryError) return { code: codeOfStatus(error.status), retry: "pointless" };
  if (error instanceof ImageRefusedError) return { code: "image_unusable", retry: "pointless" };
  if (error instanceof StoreFullError) return { code: "image_unavailable", retry: "pointless" };
  // The worker's own trouble, e.g. a full disk.
  return { code: "image_unavailable", retry: "worthwhile" };
}

function codeOfStatus(status: number | undefined): PullFailure["code"] {
  switch (status) {
    // It answered, with something that is no image for this machine.
    case undefined:
      return "image_unusable";
    case 401:
    case 403:
      return "pull_forbidden";
    case 404:
      return "image_not_found";
    default:
      return "registry_unreachable";
  }
}
