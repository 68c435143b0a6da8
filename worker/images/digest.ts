import { createHash } from "node:crypto";

/** A content address: `sha256:` and 64 lower-case hexadecimal digits (OCI image spec, "Digests"). */
export type Digest = `sha256:${string}`;

const PATTERN = /^sha256:[0-9a-f]{64}$/;

/** Whether `text` is a well-formed sha256 digest, the only algorithm that the store keeps. */
export function isDigest(text: string): text is Digest {
  return PATTERN.test(text);
}

/** The digest of bytes held in memory. */
export function digestOf(content: Uint8Array | string): Digest {
  return `sha256:${createHash("sha256").update(content).digest("hex")}`;
}

/** The hexadecimal part, which names the blob's file and the layer's directory. */
export function hexOf(digest: Digest): string {
  return digest.slice("sha256:".length);
}
