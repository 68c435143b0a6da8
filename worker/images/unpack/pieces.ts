/**
 * Memory for what streams by. A layer passes through in pieces; were each left to the garbage collector, it would let
 * 32 MiB and more of them pile up in each thread before it looks (V8 counts what lies outside of its heap, and waits until
 * that is twice a semi-space). So what is read goes into the same two buffers over and over, and what comes out of a
 * decompressor, which makes a new buffer for each piece, is given back by hand.
 */
import { open } from "node:fs/promises";

/** Large enough to make turns of the event loop rare, small enough for the CPU's cache. In bytes. */
export const PIECE_BYTES = 256 * 1024;

/**
 * Reads a file in pieces, the next one while the last one is worked on. A piece is good until the next one is asked for:
 * its memory is used again.
 */
export async function* readPieces(path: string): AsyncGenerator<Buffer, void> {
  await using file = await open(path, "r");
  let [current, other] = [Buffer.allocUnsafeSlow(PIECE_BYTES), Buffer.allocUnsafeSlow(PIECE_BYTES)];
  let reading = file.read(current, 0, PIECE_BYTES);
  for (;;) {
    const { bytesRead } = await reading;
    if (bytesRead === 0) return;
    reading = file.read(other, 0, PIECE_BYTES);
    // Who stops here does not wait for it, and its failure is nobody's then.
    reading.catch(() => undefined);
    yield current.subarray(0, bytesRead);
    [current, other] = [other, current];
  }
}

/**
 * Gives a piece's memory back at once, if it was the last of its buffer; nobody may look at the buffer afterwards, nor at
 * what came from it before. For who has got a decompressor's pieces in their order, and keeps none.
 */
export function releasePiece({ buffer, byteOffset, byteLength }: Buffer): void {
  const isLastOfBuffer = byteOffset + byteLength === buffer.byteLength;
  // A smaller one may be a part of Node's pool, which others use.
  if (isLastOfBuffer && buffer.byteLength === PIECE_BYTES && buffer instanceof ArrayBuffer) buffer.transfer(0);
}
