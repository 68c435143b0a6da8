/**
 * Cuts a zstd stream between its frames (RFC 8878, section 3.1); the bytes stay what they are.
 *
 * A stream may be of many frames, and those of the zstd:chunked images that podman makes are. Node's decompressor goes on to the next
 * frame when a piece of input begins with one, but takes a frame that ends within a piece for the end of everything,
 * and drops the rest without a word.
 *
 *   frame      = magic, descriptor, rest of the header, blocks, [checksum]
 *   skippable  = magic, size, content
 */
const MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a50;
const [MAGIC_BYTES, BLOCK_HEADER_BYTES, CHECKSUM_BYTES] = [4, 3, 4];
const DICTIONARY_ID_BYTES = [0, 1, 2, 4];
const CONTENT_SIZE_BYTES = [0, 2, 4, 8];
const RLE_BLOCK = 1;

/** What the next bytes are. */
type Field = "magic" | "skippable size" | "descriptor" | "block header" | "content" | "end" | "unknown";

/** Follows the structure of a stream of frames, without looking into blocks. */
class FrameWalk {
  #field: Field = "magic";
  /** Bytes of the field that are still to come. */
  #missing = MAGIC_BYTES;
  #value = 0;
  #valueBytes = 0;
  #hasChecksum = false;
  #isLastBlock = false;

  /** Walks to the end of the frame, or of the piece; returns the offset. */
  walk(piece: Buffer, from: number): number {
    let offset = from;
    while (offset < piece.length) {
      if (this.#field === "unknown") return piece.length;
      const taken = Math.min(this.#missing, piece.length - offset);
      if (this.#field !== "content") this.#collect(piece, offset, taken);
      offset += taken;
      this.#missing -= taken;
      while (this.#missing === 0 && this.#field !== "end") this.#next();
      if (this.#field === "end") {
        this.#expect("magic", MAGIC_BYTES);
        return offset;
      }
    }
    return offset;
  }

  #collect(piece: Buffer, offset: number, bytes: number): void {
    // Fields are little endian; a multiplication, because shifts are of 32 bits with a sign.
    for (let index = 0; index < bytes; index++) this.#value += (piece[offset + index] ?? 0) * 256 ** this.#valueBytes++;
  }

  #expect(field: Field, bytes: number): void {
    this.#field = field;
    this.#missing = bytes;
    this.#value = this.#valueBytes = 0;
  }

  #next(): void {
    const value = this.#value;
    switch (this.#field) {
      case "magic":
        if (value === MAGIC) return this.#expect("descriptor", 1);
        if (value - (value % 16) === SKIPPABLE_MAGIC) return this.#expect("skippable size", 4);
        // The decompressor says what is wrong.
        return this.#expect("unknown", Infinity);
      case "skippable size":
        this.#isLastBlock = true;
        this.#hasChecksum = false;
        return this.#expect("content", value);
      case "descriptor":
        this.#hasChecksum = (value & 4) !== 0;
        this.#isLastBlock = false;
        return this.#expect("content", restOfHeader(value));
      case "block header": {
        this.#isLastBlock = (value & 1) !== 0;
        const size = ((value >> 1) & 3) === RLE_BLOCK ? 1 : value >> 3;
        return this.#expect("content", size + (this.#isLastBlock && this.#hasChecksum ? CHECKSUM_BYTES : 0));
      }
      case "content":
        return this.#isLastBlock ? this.#expect("end", 0) : this.#expect("block header", BLOCK_HEADER_BYTES);
      default:
        throw new Error(`nothing follows the field ${this.#field}`);
    }
  }
}

/** Bytes of a frame's header after its descriptor: window, dictionary id, content size. */
function restOfHeader(descriptor: number): number {
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const contentSize = CONTENT_SIZE_BYTES[descriptor >> 6] ?? 0;
  const window = isSingleSegment ? 0 : 1;
  return window + (DICTIONARY_ID_BYTES[descriptor & 3] ?? 0) + (contentSize === 0 && isSingleSegment ? 1 : contentSize);
}

/** Yields the bytes of a stream in pieces that never hold the end of one frame and the beginning of the next. */
export async function* splitFrames(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const frames = new FrameWalk();
  for await (const piece of pieces) {
    for (let start = 0; start < piece.length;) {
      const end = frames.walk(piece, start);
      yield piece.subarray(start, end);
      start = end;
    }
  }
}
