import { createHash, type Hash } from "node:crypto";
import { piecesOf, tokensOf } from "./pieces.ts";

/** A longer token is no number; it is compared by its digest. */
const TOKEN_CHARACTERS_MAX = 1024;

/** How much of such a token is shown. */
const SHOWN_CHARACTERS = 40;

/** How much is taken apart at once. */
const TEXT_BYTES = 4096;

/** What printf(3) makes of a number, and people; neither hexadecimal, infinite nor NaN. */
const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;

/** By how much numbers may differ. */
export interface Tolerance {
  readonly absolute: number;
  /** To the number that is expected. */
  readonly relative: number;
}

/** Whether a token is as good as the one that is expected: the same, or a number that is near enough. */
export function isClose(found: string, expected: string, { absolute, relative }: Tolerance): boolean {
  if (found === expected) return true;
  if (!NUMBER.test(found) || !NUMBER.test(expected)) return false;
  const [value, reference] = [Number(found), Number(expected)];
  const difference = Math.abs(value - reference);
  // Nothing is near a number that is too large for a double: a share of it would be anything.
  if (!Number.isFinite(difference)) return false;
  return difference <= absolute || difference <= relative * Math.abs(reference);
}

/** The first token that is not close to the expected one; undefined when there is none. */
export function firstFarToken(
  output: string,
  expected: string,
  tolerance: Tolerance,
): { readonly index: number; readonly found: string; readonly expected: string } | undefined {
  const [left, right] = [wordsOf(output), wordsOf(expected)];
  for (let index = 0; ; index++) {
    const [one, other] = [left.next(), right.next()];
    if (one.done === true && other.done === true) return undefined;
    const [found, reference] = [one.value ?? "", other.value ?? ""];
    if (one.done === true || other.done === true || !isClose(found, reference, tolerance)) {
      return { index, found: asText(found), expected: asText(reference) };
    }
  }
}

/** The tokens of a file, one by one, with a character for each byte. */
function* wordsOf(path: string): Generator<string, undefined> {
  let begun = "";
  let digest: Hash | undefined;
  for (const text of textOf(tokensOf(piecesOf(path)))) {
    const [first = "", ...others] = text.split("\n");
    const last = others.pop();
    if (digest === undefined) begun += first;
    else digest.update(first, "latin1");
    if (last !== undefined) {
      yield digest === undefined ? shorten(begun) : nameOf(begun, digest);
      for (const word of others) yield shorten(word);
      begun = last;
      digest = undefined;
    }
    if (digest === undefined && begun.length > TOKEN_CHARACTERS_MAX)
      digest = createHash("sha256").update(begun, "latin1");
  }
  return undefined;
}

/** In short pieces: what is made of one is gone before it is old, and the heap stays small. */
function* textOf(pieces: Iterable<Buffer>): Generator<string, void> {
  for (const piece of pieces) {
    for (let from = 0; from < piece.length; from += TEXT_BYTES) {
      yield piece.toString("latin1", from, Math.min(from + TEXT_BYTES, piece.length));
    }
  }
}

function shorten(word: string): string {
  if (word.length <= TOKEN_CHARACTERS_MAX) return word;
  return nameOf(word, createHash("sha256").update(word, "latin1"));
}

/** Stands for a long token; no other one is the same. @param begun the token's beginning */
function nameOf(begun: string, digest: Hash): string {
  return `${begun.slice(0, SHOWN_CHARACTERS)}... (sha256 ${digest.digest("hex")})`;
}

function asText(word: string): string {
  return Buffer.from(word, "latin1").toString();
}
