import { createHash } from "node:crypto";
import type { Digest } from "../../shared/digest.ts";

export { type Digest, isDigest } from "../../shared/digest.ts";

/** The digest of bytes held in memory. */
export function digestOf(content: Uint8Array | string): Digest {
  return `sha256:${createHash("sha256").update(content).digest("hex")}`;
}

/** The hexadecimal part, which names the blob's file and the layer's directory. */
export function hexOf(digest: Digest): string {
  return digest.slice("sha256:".length);
}
