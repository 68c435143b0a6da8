/** A content address: `sha256:` and 64 lower-case hexadecimal digits (OCI image spec, "Digests"). */
export type Digest = `sha256:${string}`;

const PATTERN = /^sha256:[0-9a-f]{64}$/;

/** Whether `text` is a well-formed sha256 digest, the only algorithm that is understood. */
export function isDigest(text: string): text is Digest {
  return PATTERN.test(text);
}

/** The hexadecimal part, which names files, directories and keys. */
export function hexOf(digest: Digest): string {
  return digest.slice("sha256:".length);
}
