import { BPF, type BpfInstruction, instructionAt, targetsOf } from "./program.ts";

/** What a program does for all values of a word from `from` up to those of the next range: it goes on at `at`. */
export interface Range {
  readonly from: number;
  /** Index of an instruction that does not compare what is loaded, or tests it for bits. */
  readonly at: number;
  /** Single values in between for which it goes on elsewhere; a few. */
  readonly exceptions: readonly { readonly value: number; readonly at: number }[];
}

interface Part {
  readonly from: number;
  readonly at: number;
}

const LARGEST = 0xffffffff;

/** An exception takes one comparison and a range between two takes two, but ranges are searched, and exceptions tried. */
const EXCEPTIONS_MAX = 4;

/**
 * Divides all 2^32 values of a word by what a program does when the word is loaded and it goes on at an instruction.
 * In ascending order, from 0.
 */
export function rangesFrom(program: readonly BpfInstruction[], start: number, word: number): readonly Range[] {
  const parts = follow(program, start, word).toSorted((one, other) => one.from - other.from);
  const ranges: Range[] = [];
  for (const { from, at } of parts) {
    const [last, beforeLast] = [ranges.at(-1), ranges.at(-2)];
    if (last !== undefined && isSame(program, last.at, at)) continue;
    const isSingle = last?.from === from - 1 && last.exceptions.length === 0;
    const goesOn = beforeLast !== undefined && isSame(program, beforeLast.at, at);
    if (isSingle && goesOn && beforeLast.exceptions.length < EXCEPTIONS_MAX) {
      const exceptions = [...beforeLast.exceptions, { value: last.from, at: last.at }];
      ranges.splice(-2, 2, { ...beforeLast, exceptions });
    } else ranges.push({ from, at, exceptions: [] });
  }
  return ranges;
}

/** Follows a program with all values at once, which part at each comparison. */
function follow(program: readonly BpfInstruction[], start: number, word: number): Part[] {
  const parts: Part[] = [];
  const go = (at: number, from: number, to: number): void => {
    if (from > to) return;
    const instruction = instructionAt(program, at);
    const { code, k } = instruction;
    const { yes, no } = targetsOf(instruction, at);
    if (code === BPF.JUMP) go(at + 1 + k, from, to);
    else if (code === BPF.LOAD && k === word) go(at + 1, from, to);
    else if (code === BPF.JUMP_EQUAL) {
      go(no, from, Math.min(to, k - 1));
      go(yes, Math.max(from, k), Math.min(to, k));
      go(no, Math.max(from, k + 1), to);
    } else if (code === BPF.JUMP_GREATER) {
      go(no, from, Math.min(to, k));
      go(yes, Math.max(from, k + 1), to);
    } else if (code === BPF.JUMP_GREATER_OR_EQUAL) {
      go(no, from, Math.min(to, k - 1));
      go(yes, Math.max(from, k), to);
    } else parts.push({ from, at });
  };
  go(start, 0, LARGEST);
  return parts;
}

/** Whether a program does the same from two instructions on, as far as that is seen at once. */
function isSame(program: readonly BpfInstruction[], one: number, other: number): boolean {
  const [a, b] = [instructionAt(program, one), instructionAt(program, other)];
  return one === other || (a.code === BPF.RETURN && b.code === BPF.RETURN && a.k === b.k);
}
