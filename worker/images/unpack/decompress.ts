import { pipeline } from "node:stream/promises";
import { createGunzip, createZstdDecompress, type Gunzip, type ZstdDecompress } from "node:zlib";
import type { Compression } from "../oci.ts";
import { PIECE_BYTES } from "./pieces.ts";
import { splitFrames } from "./zstd-frames.ts";

/**
 * One piece of input at a time, so that who reads it may use the memory again. Of the output, the next pieces are
 * inflated, in libuv's threads, while the last one is worked on; as objects, or a reader who is late would get some of
 * them copied into one.
 */
const OPTIONS = {
  chunkSize: PIECE_BYTES,
  writableHighWaterMark: 1,
  readableObjectMode: true,
  readableHighWaterMark: 4,
};

/**
 * Decompresses a stream and hands it to a function, piece by piece. Of the source, the next piece is asked for when the
 * last one is not needed any more.
 * @throws what the source, the decompression or the function throw
 */
export async function decompress(
  source: AsyncIterable<Buffer>,
  compression: Compression,
  consume: (pieces: AsyncIterable<Buffer>) => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  const options = { ...(signal && { signal }) };
  if (compression === "none") return pipeline(source, consume, options);
  const compressed = compression === "zstd" ? splitFrames(source) : source;
  await pipeline(compressed, decompressor(compression), consume, options);
}

function decompressor(compression: Exclude<Compression, "none">): Gunzip | ZstdDecompress {
  switch (compression) {
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
