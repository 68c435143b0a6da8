/** Files as pieces that are compared; no file is ever in memory as a whole. */
import { createHash, type Hash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";

const PIECE_BYTES = 64 * 1024;

const [TAB, NEWLINE, CARRIAGE_RETURN, SPACE] = [0x09, 0x0a, 0x0d, 0x20];

/** As isspace(3) in the C locale. */
export function isSpace(byte: number): boolean {
  return byte === SPACE || (byte >= TAB && byte <= CARRIAGE_RETURN);
}

/** A file's bytes. What is yielded is good until the next piece is asked for. */
export function* piecesOf(path: string): Generator<Buffer, void> {
  const descriptor = openSync(path, "r");
  try {
    const piece = Buffer.alloc(PIECE_BYTES);
    for (let length = readSync(descriptor, piece); length > 0; length = readSync(descriptor, piece)) {
      yield piece.subarray(0, length);
    }
  } finally {
    closeSync(descriptor);
  }
}

/** The tokens of a file, each followed by a newline: equal when the tokens are. */
export function* tokensOf(pieces: Iterable<Buffer>): Generator<Buffer, void> {
  // One byte more than a piece: the newline of the token before.
  const normal = Buffer.alloc(PIECE_BYTES + 1);
  let inToken = false;
  for (const piece of pieces) {
    let length = 0;
    for (const byte of piece) {
      const space = isSpace(byte);
      if (!space) normal[length++] = byte;
      else if (inToken) normal[length++] = NEWLINE;
      inToken = !space;
    }
    if (length > 0) yield normal.subarray(0, length);
  }
  if (inToken) yield Buffer.of(NEWLINE);
}

/**
 * The lines of a file without the white space at their ends, and without empty lines at the end of the file. White space
 * that may turn out to be of no account is held back until what follows it is known.
 */
export function* linesOf(pieces: Iterable<Buffer>): Generator<Buffer, void> {
  const held = new HeldSpace();
  // A piece, and as much as may be held back from before it.
  const normal = Buffer.alloc(2 * PIECE_BYTES);
  for (const piece of pieces) {
    let length = 0;
    for (const byte of piece) {
      if (isSpace(byte)) {
        held.add(byte);
        continue;
      }
      if (held.size > PIECE_BYTES) {
        if (length > 0) yield normal.subarray(0, length);
        length = 0;
        yield* held.pieces();
      } else if (held.size > 0) {
        length = held.copyTo(normal, length);
      }
      held.clear();
      normal[length++] = byte;
    }
    if (length > 0) yield normal.subarray(0, length);
  }
}

const NEWLINES = Buffer.alloc(PIECE_BYTES, NEWLINE);

/**
 * White space between two other bytes, without what stands at the ends of lines: some newlines, and spaces behind them. Of
 * many spaces only a digest is known, which is as good for a comparison.
 */
class HeldSpace {
  #newlines = 0;
  readonly #spaces = Buffer.alloc(PIECE_BYTES);
  #length = 0;
  /** Of full `#spaces` before those that are there now. */
  #digest: Hash | undefined;

  /** What it comes to, in bytes. */
  get size(): number {
    return this.#newlines + this.#length + (this.#digest === undefined ? 0 : PIECE_BYTES);
  }

  add(byte: number): void {
    if (byte === NEWLINE) {
      this.#newlines++;
      this.#length = 0;
      this.#digest = undefined;
      return;
    }
    if (this.#length === PIECE_BYTES) {
      this.#digest = (this.#digest ?? createHash("sha256")).update(this.#spaces);
      this.#length = 0;
    }
    this.#spaces[this.#length++] = byte;
  }

  /** Puts all of it there, which is no more than a piece. @returns where it ends */
  copyTo(target: Buffer, offset: number): number {
    let end = offset;
    // Mostly a single byte: methods of Buffer would take longer.
    for (let count = 0; count < this.#newlines; count++) target[end++] = NEWLINE;
    for (let index = 0; index < this.#length; index++) target[end++] = this.#spaces[index] ?? SPACE;
    return end;
  }

  /** All of it, however much. */
  *pieces(): Generator<Buffer, void> {
    for (let left = this.#newlines; left > 0; left -= PIECE_BYTES)
      yield NEWLINES.subarray(0, Math.min(left, PIECE_BYTES));
    yield this.#spaces.subarray(0, this.#length);
    if (this.#digest !== undefined) yield this.#digest.digest();
  }

  clear(): void {
    this.#newlines = 0;
    this.#length = 0;
    this.#digest = undefined;
  }
}
