/** Files as pieces that are compared; no file is ever in memory as a whole. */
import { createHash } from "node:crypto";
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
 * that may turn out to be of no account is held back until what follows it is known; of much of it only a digest is,
 * which is as good for a comparison.
 */
export function* linesOf(pieces: Iterable<Buffer>): Generator<Buffer, void> {
  const held = new HeldSpace();
  for (const piece of pieces) {
    let from = 0;
    for (let index = 0; index < piece.length; index++) {
      const byte = piece[index] ?? 0;
      if (!isSpace(byte)) {
        if (!held.isEmpty) yield held.take();
        continue;
      }
      if (index > from) yield piece.subarray(from, index);
      from = index + 1;
      held.add(byte);
    }
    if (from < piece.length) yield piece.subarray(from);
  }
}

/** White space between two other bytes. */
class HeldSpace {
  #newlines = 0;
  /** Since the last newline. */
  #spaces: number[] = [];
  #rest = createHash("sha256");
  #restBytes = 0;

  get isEmpty(): boolean {
    return this.#newlines === 0 && this.#spaces.length === 0;
  }

  add(byte: number): void {
    if (byte === NEWLINE) {
      this.#newlines++;
      this.#forget();
    } else if (this.#spaces.length < PIECE_BYTES) {
      this.#spaces.push(byte);
    } else {
      this.#rest.update(Buffer.of(byte));
      this.#restBytes++;
    }
  }

  /** What it comes to when something else follows. */
  take(): Buffer {
    const counted =
      this.#newlines > PIECE_BYTES ? Buffer.from(`\n${this.#newlines}\n`) : Buffer.alloc(this.#newlines, NEWLINE);
    const rest = this.#restBytes > 0 ? this.#rest.digest() : Buffer.alloc(0);
    const all = Buffer.concat([counted, Buffer.from(this.#spaces), rest]);
    this.#newlines = 0;
    this.#forget();
    return all;
  }

  #forget(): void {
    this.#spaces = [];
    if (this.#restBytes > 0) this.#rest = createHash("sha256");
    this.#restBytes = 0;
  }
}
