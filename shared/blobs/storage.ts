/** Where blobs live: a directory, a bucket, or behind an API that has one of them. */
import type { Readable } from "node:stream";
import type { Digest } from "../digest.ts";

/** A blob's bytes, as they come. Who takes it reads it to its end or destroys it. */
export interface BlobContent {
  readonly bytes: number;
  readonly content: Readable;
}

/**
 * Immutable contents by the SHA-256 of their bytes. Whose they are, and for how long, is the ledger's business
 * (`ledger.ts`). Nobody trusts a storage with a digest: who needs to know compares it while reading.
 */
export interface BlobStorage extends Disposable {
  /** A directory for files that {@link put} takes; it may not be there yet. */
  readonly spoolDirectory: string;
  /** Bytes of a blob; undefined when it is not there. */
  sizeOf(digest: Digest): Promise<number | undefined>;
  /** Undefined when it is not there. */
  open(digest: Digest): Promise<BlobContent | undefined>;
  /** Stores a file of the spool directory, which may be gone afterwards. Whoever reads sees all of it, or nothing. */
  put(digest: Digest, file: string): Promise<void>;
  /** Removes a blob if it is there. Undefined where somebody else clears away: the API that this storage is behind. */
  readonly remove?: ((digest: Digest) => Promise<void>) | undefined;
}
