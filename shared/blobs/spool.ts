/** Files on their way into a blob storage: written as they come, hashed on the way, never whole in memory. */
import { createHash, randomUUID } from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { Digest } from "../digest.ts";

/** A file of a spool directory. Disposing of it removes it, unless a storage has taken it over. */
export interface SpooledFile extends AsyncDisposable {
  readonly path: string;
  readonly digest: Digest;
  readonly bytes: number;
}

/**
 * Writes a stream to a file.
 * @param onPiece called before each piece is written; what it throws ends it
 * @throws what the source, the disk or `onPiece` throw. The file is gone then
 */
export async function spool(
  source: AsyncIterable<Uint8Array>,
  directory: string,
  onPiece: (bytes: number) => void = () => undefined,
): Promise<SpooledFile> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const path = join(directory, randomUUID());
  const remove = (): Promise<void> => rm(path, { force: true });
  const hash = createHash("sha256");
  let bytes = 0;
  async function* inspect(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const piece of pieces) {
      onPiece(piece.byteLength);
      bytes += piece.byteLength;
      hash.update(piece);
      yield piece;
    }
  }
  try {
    await pipeline(source, inspect, createWriteStream(path, { mode: 0o600 }));
  } catch (error) {
    await remove();
    throw error;
  }
  return { path, digest: `sha256:${hash.digest("hex")}`, bytes, [Symbol.asyncDispose]: remove };
}

/** Removes files that nobody has written to since a point in time: what a process that died has left. */
export async function clearSpool(directory: string, before: Date): Promise<void> {
  for (const name of await readdir(directory).catch(() => [])) {
    const path = join(directory, name);
    const status = await stat(path).catch(() => undefined);
    if (status !== undefined && status.mtime < before) await rm(path, { force: true });
  }
}
