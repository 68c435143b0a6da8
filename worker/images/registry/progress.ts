/** What a pull or push is doing, for whoever watches it. */
import type { Digest } from "../digest.ts";

/** A layer's or the configuration's way between registry and store. */
export type TransferState =
  /** Nothing to be done: what is wanted is there. */
  | { readonly kind: "present" }
  /** A push got it from another repository of the same registry, without sending it. */
  | { readonly kind: "mounted"; readonly from: string }
  | { readonly kind: "moving"; readonly bytes: number }
  | { readonly kind: "done" };

export type TransferProgress =
  /** What is going to be moved; comes first, and once. Sizes in bytes, as they are transferred. */
  | {
      readonly kind: "planned";
      readonly reference: string;
      readonly digest: Digest;
      readonly blobs: readonly { readonly digest: Digest; readonly size: number }[];
    }
  | { readonly kind: "blob"; readonly digest: Digest; readonly state: TransferState }
  /** Something failed and is going to be tried again. */
  | { readonly kind: "retry"; readonly reason: string; readonly pauseMs: number }
  /** A mirror failed us; another one, or the registry itself, comes next. */
  | { readonly kind: "mirror_failed"; readonly mirror: string; readonly reason: string };

export type OnProgress = (progress: TransferProgress) => void;
