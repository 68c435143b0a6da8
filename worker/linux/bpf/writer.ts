import { BPF, type BpfInstruction } from "./program.ts";

/** Instructions over which a jump that compares may go. */
const FAR = 255;

/**
 * Writes a program from its end to its beginning: jumps only go forward, so what they lead to is there before them.
 * Places are counted from the end.
 */
export class BpfWriter {
  readonly #reversed: BpfInstruction[] = [];
  /** Where each answer is given; the nearest place. */
  readonly #answers = new Map<number, number>();

  /** Gives an answer; returns the place, which may be one where it is given already. */
  answer(value: number): number {
    const known = this.#answers.get(value);
    if (known !== undefined && this.#between(known) <= FAR) return known;
    const place = this.#write(BPF.RETURN, value);
    this.#answers.set(value, place);
    return place;
  }

  /** A jump that compares; returns its place. */
  compare(code: number, k: number, yes: number, no: number): number {
    // The way to the second place may need an instruction between this one and the first.
    const onTrue = this.#reach(yes, FAR - 1);
    const onFalse = this.#reach(no, FAR);
    return this.#write(code, k, this.#between(onTrue), this.#between(onFalse));
  }

  /** Loads a word before what is at a place, unless that begins without it; returns the place. */
  load(word: number, next: number): number {
    const code = this.#reversed[next]?.code;
    if (code === BPF.LOAD || code === BPF.RETURN) return next;
    this.#reach(next, 0);
    return this.#write(BPF.LOAD, word);
  }

  /** Keeps some bits of what is loaded, before what is at a place; returns the place. */
  and(mask: number, next: number): number {
    this.#reach(next, 0);
    return this.#write(BPF.AND, mask);
  }

  /** The program that begins at a place. */
  finish(place: number): readonly BpfInstruction[] {
    this.#reach(place, 0);
    return this.#reversed.toReversed();
  }

  /** A place that leads to the given one over no more than so many instructions: itself, or a jump there. */
  #reach(place: number, instructions: number): number {
    return this.#between(place) <= instructions ? place : this.#write(BPF.JUMP, this.#between(place));
  }

  /** How many instructions there are between a place and what is written next. */
  #between(place: number): number {
    return this.#reversed.length - 1 - place;
  }

  #write(code: number, k: number, onTrue = 0, onFalse = 0): number {
    return this.#reversed.push({ code, onTrue, onFalse, k }) - 1;
  }
}
