import { BPF, type BpfInstruction, instructionAt, targetsOf } from "./program.ts";

/** What a program does for all values of a word from `from` up to those of the next range: it goes on at `at`. */
export interface Range {
  readonly from: number;
  /** Index of an instruction that answers, that loads something else, or that asks what is no question of ranges. */
  readonly at: number;
  /** Single values in between for which it goes on elsewhere; a few. */
  readonly exceptions: readonly { readonly value: number; readonly at: number }[];
}

/** Whether a program goes on at an instruction for some of the values. */
export function leadTo(ranges: readonly Range[], instruction: number): boolean {
  return ranges.some(({ at, exceptions }) => [at, ...exceptions.map((one) => one.at)].includes(instruction));
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

/** Follows a program with all values at once, which part at each comparison that neighbours pass together. */
function follow(program: readonly BpfInstruction[], start: number, word: number): Part[] {
  const parts: Part[] = [];
  /**
   * @param mask what is left of the word
   * @param whole the last instruction before which all of it was
   */
  const go = (at: number, mask: number, whole: number, from: number, to: number): void => {
    if (from > to) return;
    const instruction = instructionAt(program, at);
    const { code, k } = instruction;
    const goOn = (next: number, first: number, last: number): void =>
      go(next, mask, mask === LARGEST ? next : whole, first, last);
    const passed = passedBy(instruction, mask);
    if (code === BPF.JUMP) goOn(at + 1 + k, from, to);
    else if (code === BPF.LOAD && k === word) go(at + 1, LARGEST, at + 1, from, to);
    else if (code === BPF.AND) go(at + 1, (mask & k) >>> 0, whole, from, to);
    else if (passed !== undefined) {
      const { yes, no } = targetsOf(instruction, at);
      goOn(no, from, Math.min(to, passed.least - 1));
      goOn(yes, Math.max(from, passed.least), Math.min(to, passed.most));
      goOn(no, Math.max(from, passed.most + 1), to);
    } else parts.push({ from, at: code === BPF.LOAD || code === BPF.RETURN ? at : whole });
  };
  go(start, LARGEST, start, 0, LARGEST);
  return parts;
}

/** Which values pass a comparison of what a mask leaves of them; undefined for none, and where they are no neighbours. */
function passedBy({ code, k }: BpfInstruction, mask: number): { least: number; most: number } | undefined {
  if (code === BPF.JUMP_GREATER && mask === LARGEST) return { least: k + 1, most: LARGEST };
  if (code === BPF.JUMP_GREATER_OR_EQUAL && mask === LARGEST) return { least: k, most: LARGEST };
  const lowest = ~mask >>> 0;
  const areNeighbours = (lowest & (lowest + 1)) === 0 && (k & lowest) === 0;
  return code === BPF.JUMP_EQUAL && areNeighbours ? { least: k, most: (k | lowest) >>> 0 } : undefined;
}

/** Whether a program does the same from two instructions on, as far as that is seen at once. */
function isSame(program: readonly BpfInstruction[], one: number, other: number): boolean {
  const [a, b] = [instructionAt(program, one), instructionAt(program, other)];
  return one === other || (a.code === BPF.RETURN && b.code === BPF.RETURN && a.k === b.k);
}
