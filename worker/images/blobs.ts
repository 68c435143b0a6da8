import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, readdir, readFile, rename, rm, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { type Digest, digestOf, hexOf, isDigest } from "./digest.ts";
import { removeTemporaries, syncDirectory, writeFileDurably } from "./durable.ts";
import { collectingYoungGarbage } from "./young-garbage.ts";

/** Identity of a blob. */
export interface BlobIdentity {
  readonly digest: Digest;
  /** In bytes. */
  readonly size: number;
}

/** Immutable content (manifests, configurations, compressed layers), each in a file named by the digest of its bytes. */
export class BlobStore {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static async open(directory: string): Promise<BlobStore> {
    await mkdir(join(directory, "sha256"), { recursive: true });
    return new BlobStore(join(directory, "sha256"));
  }

  /** Stores a small document; storing the same twice is one file. */
  async put(content: string | Uint8Array): Promise<Digest> {
    const digest = digestOf(content);
    const now = new Date();
    // Whoever stores it again wants it as much as who stores it first: see writtenAt.
    if (await this.has(digest)) await utimes(this.pathOf(digest), now, now);
    else await writeFileDurably(this.pathOf(digest), content);
    return digest;
  }

  /**
   * Reads a small document and checks that it still is what its name says.
   * @throws when it is missing or damaged
   */
  async get(digest: Digest): Promise<Buffer> {
    const path = this.pathOf(digest);
    const content = await readFile(path);
    if (digestOf(content) !== digest) throw new Error(`blob ${path} is damaged: remove it and build its image again`);
    return content;
  }

  async has(digest: Digest): Promise<boolean> {
    return (await this.sizeOf(digest)) !== undefined;
  }

  /** Bytes of a blob; undefined when it is not there. */
  async sizeOf(digest: Digest): Promise<number | undefined> {
    return (await stat(this.pathOf(digest)).catch(() => undefined))?.size;
  }

  /** When a blob was stored last; undefined when it is not there. */
  async writtenAt(digest: Digest): Promise<Date | undefined> {
    return (await stat(this.pathOf(digest)).catch(() => undefined))?.mtime;
  }

  /** Reads a blob of any size. The reader compares the digest, as it would with one from anywhere else. */
  read(digest: Digest): Readable {
    return createReadStream(this.pathOf(digest));
  }

  /** Makes a file of the same file system, which {@link receiveBlob} has written, a blob. */
  async adopt(path: string, digest: Digest): Promise<void> {
    await rename(path, this.pathOf(digest));
    await syncDirectory(this.#directory);
  }

  async list(): Promise<Digest[]> {
    return (await readdir(this.#directory)).map((name) => `sha256:${name}`).filter(isDigest);
  }

  async remove(digest: Digest): Promise<void> {
    await rm(this.pathOf(digest), { force: true });
  }

  /** Removes what a process left that was killed. To be called while nobody adds content. */
  async removeLeftovers(): Promise<void> {
    await removeTemporaries(this.#directory);
  }

  pathOf(digest: Digest): string {
    return join(this.#directory, hexOf(digest));
  }
}

/**
 * Passes a stream on, and fails unless it turns out to be what was announced; as soon as there is too much.
 * @throws when digest or size are different
 */
export async function* verifyBlob(
  source: AsyncIterable<Uint8Array>,
  { digest, size }: BlobIdentity,
): AsyncGenerator<Uint8Array, void> {
  const hash = createHash("sha256");
  let received = 0;
  for await (const piece of source) {
    received += piece.length;
    if (received > size) throw new Error(`blob ${digest} is larger than the ${size} bytes that were announced`);
    hash.update(piece);
    yield piece;
  }
  if (received < size) throw new Error(`blob ${digest} ended after ${received} of the ${size} bytes announced`);
  const actual = `sha256:${hash.digest("hex")}`;
  if (actual !== digest) throw new Error(`blob ${digest} has the digest ${actual}: it was damaged or exchanged`);
}

/**
 * Writes a stream to a file, which has to be what was announced, see {@link verifyBlob}. The next piece is asked for when
 * the last one is written, so that the source may use its memory again.
 * @throws when it is not, or the stream fails. The file is gone then
 */
export async function receiveBlob(
  source: AsyncIterable<Uint8Array>,
  identity: BlobIdentity,
  path: string,
  signal?: AbortSignal,
): Promise<void> {
  try {
    await using file = await open(path, "w", 0o600);
    const verified = (pieces: AsyncIterable<Uint8Array>) => collectingYoungGarbage(verifyBlob(pieces, identity));
    const write = (pieces: AsyncIterable<Uint8Array>) => file.writeFile(pieces);
    await pipeline(source, verified, write, { ...(signal && { signal }) });
    await file.sync();
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  }
}
