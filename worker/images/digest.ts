import { createHash } from "node:crypto";
import type { Digest } from "../../shared/digest.ts";

export { type Digest, hexOf, isDigest } from "../../shared/digest.ts";

/** The digest of bytes held in memory. */
export function digestOf(content: Uint8Array | string): Digest {
  return `sha256:${createHash("sha256").update(content).digest("hex")}`;
}
