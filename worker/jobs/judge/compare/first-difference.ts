import { withoutPartialCharacter } from "../../../../shared/content.ts";

/** How many bytes are remembered before a difference, and shown after it. */
const SHOWN_BYTES = 40;

const NEWLINE = 0x0a;

/** Where two streams of bytes part. */
export interface Difference {
  /** Newlines before it. */
  readonly line: number;
  /**
   * The line there, from its beginning or a little before the difference, as far as it has been read; with its newline
   * where that is the difference.
   */
  readonly found: string;
  readonly expected: string;
}

/** Finds where two streams part, however they are cut into pieces; undefined when they are the same. */
export function firstDifference(found: Iterable<Buffer>, expected: Iterable<Buffer>): Difference | undefined {
  const [left, right] = [new Cursor(found), new Cursor(expected)];
  let line = 0;
  let before = Buffer.alloc(0);
  for (;;) {
    const [one, other] = [left.rest(), right.rest()];
    if (one.length === 0 && other.length === 0) return undefined;
    const length = Math.min(one.length, other.length);
    const same = commonLength(one, other, length);
    const common = one.subarray(0, same);
    line += newlinesIn(common);
    before = lineEnd(before, common);
    if (same < length || length === 0) {
      const show = (rest: Buffer): string => describe(before, rest.subarray(same));
      return { line, found: show(one), expected: show(other) };
    }
    left.skip(same);
    right.skip(same);
  }
}

class Cursor {
  readonly #pieces: Iterator<Buffer>;
  #piece: Buffer = Buffer.alloc(0);

  constructor(pieces: Iterable<Buffer>) {
    this.#pieces = pieces[Symbol.iterator]();
  }

  /** What is there of the current piece; empty at the end only. */
  rest(): Buffer {
    while (this.#piece.length === 0) {
      const next = this.#pieces.next();
      if (next.done === true) break;
      this.#piece = next.value;
    }
    return this.#piece;
  }

  skip(bytes: number): void {
    this.#piece = this.#piece.subarray(bytes);
  }
}

function commonLength(one: Buffer, other: Buffer, length: number): number {
  if (one.compare(other, 0, length, 0, length) === 0) return length;
  let same = 0;
  while (one[same] === other[same]) same++;
  return same;
}

function newlinesIn(bytes: Buffer): number {
  let count = 0;
  for (let index = bytes.indexOf(NEWLINE); index >= 0; index = bytes.indexOf(NEWLINE, index + 1)) count++;
  return count;
}

/** The end of the current line, copied: a piece does not last. */
function lineEnd(before: Buffer, bytes: Buffer): Buffer<ArrayBuffer> {
  const newline = bytes.lastIndexOf(NEWLINE);
  const all = newline < 0 ? Buffer.concat([before, bytes]) : Buffer.from(bytes.subarray(newline + 1));
  return Buffer.from(all.subarray(Math.max(0, all.length - SHOWN_BYTES)));
}

function describe(before: Buffer, rest: Buffer): string {
  const end = rest.indexOf(NEWLINE);
  const after = rest.subarray(0, Math.min(SHOWN_BYTES, end < 0 ? rest.length : Math.max(1, end)));
  return Buffer.from(wholeCharacters(Buffer.concat([before, after]))).toString();
}

/** Without what is left of a character (RFC 3629, section 3) that was cut at either end. */
function wholeCharacters(bytes: Buffer): Uint8Array {
  const begin = bytes.findIndex((byte) => (byte & 0b1100_0000) !== 0b1000_0000);
  return withoutPartialCharacter(begin > 3 ? bytes : bytes.subarray(Math.max(0, begin)));
}
