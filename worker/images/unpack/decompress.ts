import { PassThrough, type Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip, createZstdDecompress } from "node:zlib";
import type { Compression } from "../oci.ts";
import { splitFrames } from "./zstd-frames.ts";

/** Of what comes out: large enough to make turns of the event loop rare, small enough for the CPU's cache. */
export const PIECE_BYTES = 256 * 1024;

/** The next pieces are inflated, in libuv's threads, while the last one is worked on. */
const OPTIONS = { chunkSize: PIECE_BYTES, readableHighWaterMark: 4 * PIECE_BYTES };

/**
 * Decompresses a stream and hands it to a function, piece by piece.
 * @throws what the source, the decompression or the function throw
 */
export async function decompress(
  source: AsyncIterable<Buffer>,
  compression: Compression,
  consume: (pieces: AsyncIterable<Buffer>) => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  const compressed = compression === "zstd" ? splitFrames(source) : source;
  await pipeline(compressed, decompressor(compression), consume, { ...(signal && { signal }) });
}

function decompressor(compression: Compression): Transform {
  switch (compression) {
    case "none":
      return new PassThrough({ highWaterMark: 4 * PIECE_BYTES });
    case "gzip":
      return createGunzip(OPTIONS);
    case "zstd":
      // The window, and so the memory, is 128 MiB at most, and 8 MiB with the usual levels: zstd's own default limit.
      return createZstdDecompress(OPTIONS);
    default:
      return compression satisfies never;
  }
}

/** Whether it is the compressed stream that is at fault. */
export function isDecompressionError(error: unknown): error is Error {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return code.startsWith("Z_") || code.startsWith("ZSTD_");
}
