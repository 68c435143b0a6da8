import { createHash } from "node:crypto";
import { piecesOf, tokensOf } from "./pieces.ts";

/** A longer token is no number; it is compared by its digest. */
const TOKEN_BYTES_MAX = 1024;

const NEWLINE = 0x0a;

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
      return { index, found, expected: reference };
    }
  }
}

/** The tokens of a file, one by one. */
function* wordsOf(path: string): Generator<string, undefined> {
  let token = Buffer.alloc(0);
  let digest: ReturnType<typeof createHash> | undefined;
  for (const piece of tokensOf(piecesOf(path))) {
    for (let from = 0; from < piece.length;) {
      const newline = piece.indexOf(NEWLINE, from);
      const part = piece.subarray(from, newline < 0 ? piece.length : newline);
      if (digest === undefined && token.length + part.length > TOKEN_BYTES_MAX)
        digest = createHash("sha256").update(token);
      if (digest === undefined) token = Buffer.concat([token, part]);
      else digest.update(part);
      if (newline < 0) break;
      yield digest === undefined
        ? token.toString("latin1")
        : `a token of more than ${TOKEN_BYTES_MAX} bytes, sha256 ${digest.digest("hex")}`;
      token = Buffer.alloc(0);
      digest = undefined;
      from = newline + 1;
    }
  }
  return undefined;
}
