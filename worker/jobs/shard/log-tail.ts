import type { FileHandle } from "node:fs/promises";
import { encodeOutput, type EncodedOutput } from "../../../shared/content.ts";

/** The end of a file, as text where it is that, and the size of the whole. @param bytesMax of the end */
export async function readTail(
  file: FileHandle,
  bytesMax: number,
): Promise<{ readonly tail: EncodedOutput; readonly bytes: number }> {
  const { size } = await file.stat();
  const end = Buffer.alloc(Math.min(size, bytesMax));
  const { bytesRead } = await file.read(end, 0, end.length, size - end.length);
  const truncated = size > end.length;
  const read = end.subarray(0, bytesRead);
  const content = truncated ? withoutPartialBegin(read) : read;
  return { tail: { ...encodeOutput({ content, truncated: false }), truncated }, bytes: size };
}

/** A cut may fall inside of a character: what is left of it is dropped, which is three bytes at most (RFC 3629). */
function withoutPartialBegin(bytes: Buffer): Buffer {
  const begin = bytes.subarray(0, 4).findIndex((byte) => (byte & 0b1100_0000) !== 0b1000_0000);
  return begin > 0 ? bytes.subarray(begin) : bytes;
}
