import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BPF, type BpfInstruction, decodeBpf, encodeBpf } from "../../../worker/linux/bpf/program.ts";
import { reduceBpf } from "../../../worker/linux/bpf/reduce.ts";
import { evaluateBpf } from "../../support/evaluate-bpf.ts";

const instruction = (code: number, k: number, onTrue = 0, onFalse = 0): BpfInstruction => ({
  code,
  onTrue,
  onFalse,
  k,
});

function reduce(program: readonly BpfInstruction[]): readonly BpfInstruction[] {
  return decodeBpf(reduceBpf(encodeBpf(program)));
}

const [NUMBER, ALLOW, REFUSE] = [0, 0x7fff0000, 0x00050001];

/** Allows numbers one by one, as libseccomp does. */
function allowing(numbers: readonly number[]): BpfInstruction[] {
  return [
    instruction(BPF.LOAD, NUMBER),
    ...numbers.flatMap((number) => [instruction(BPF.JUMP_EQUAL, number, 0, 1), instruction(BPF.RETURN, ALLOW)]),
    instruction(BPF.RETURN, REFUSE),
  ];
}

/** Few of them, so that programs and data meet; with those at the ends of what there is. */
const words = fc.oneof(fc.nat({ max: 9 }), fc.constantFrom(0x40, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff));
const offsets = fc.constantFrom(0, 4, 16, 20);
const steps = fc.oneof(
  { weight: 3, arbitrary: fc.record({ code: fc.constant(BPF.LOAD), k: offsets }) },
  { weight: 2, arbitrary: fc.record({ code: fc.constant(BPF.AND), k: words }) },
  { weight: 1, arbitrary: fc.record({ code: fc.constant(BPF.RETURN), k: words }) },
  { weight: 1, arbitrary: fc.record({ code: fc.constant(BPF.JUMP), k: fc.nat({ max: 20 }) }) },
  {
    weight: 9,
    arbitrary: fc.record({
      code: fc.constantFrom(
        ...[BPF.JUMP_EQUAL, BPF.JUMP_EQUAL, BPF.JUMP_GREATER, BPF.JUMP_GREATER_OR_EQUAL, BPF.JUMP_SET],
      ),
      k: words,
      onTrue: fc.nat({ max: 20 }),
      onFalse: fc.nat({ max: 3 }),
    }),
  },
);

/** Programs that the kernel would take: no jump leads out of them. */
const programs = fc.array(steps, { maxLength: 60, size: "max" }).map((chosen) => {
  const program = chosen.map(({ code, k, ...targets }, index): BpfInstruction => {
    const last = chosen.length - index - 1;
    const { onTrue = 0, onFalse = 0 } = targets as { onTrue?: number; onFalse?: number };
    const jump = code === BPF.JUMP ? Math.min(k, last) : k;
    return instruction(code, jump, Math.min(onTrue, last), Math.min(onFalse, last));
  });
  return program.concat(instruction(BPF.RETURN, ALLOW));
});

describe("a reduced filter", () => {
  test("answers as before, whatever the program and whatever it is asked", () => {
    const data = fc.array(fc.tuple(offsets, words), { minLength: 4, maxLength: 8 }).map((entries) => new Map(entries));
    fc.assert(
      fc.property(programs, fc.array(data, { minLength: 20, maxLength: 20 }), (program, questions) => {
        const reduced = reduce(program);
        for (const question of questions) {
          expect(evaluateBpf(reduced, question).answer).toBe(evaluateBpf(program, question).answer);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test("searches among ranges where it compared with each number", () => {
    const reduced = reduce(allowing(Array.from({ length: 100 }, (_, index) => index + 10)));
    const { LOAD, JUMP_GREATER_OR_EQUAL, RETURN } = BPF;
    expect(reduced.map(({ code }) => code)).toEqual([
      ...[LOAD, JUMP_GREATER_OR_EQUAL, JUMP_GREATER_OR_EQUAL],
      ...[RETURN, RETURN],
    ]);
    expect(new Set(reduced.slice(1, 3).map(({ k }) => k))).toEqual(new Set([10, 110]));
  });

  test("reaches answers over more instructions than a comparison can go", () => {
    const numbers = Array.from({ length: 700 }, (_, index) => (index + 1) ** 2);
    const reduced = reduce(allowing(numbers));
    const answers = (number: number): number => evaluateBpf(reduced, new Map([[NUMBER, number]])).answer;
    expect(reduced.length).toBeGreaterThan(numbers.length);
    expect(numbers.filter((number) => answers(number) !== ALLOW)).toEqual([]);
    expect(numbers.filter((number) => answers(number + 2) !== REFUSE)).toEqual([]);
  });

  test("asks for bits without loading the word again for each", () => {
    const argument = 16;
    const bits = [1, 2, 4, 8].flatMap((bit, index) => [
      instruction(BPF.LOAD, argument),
      instruction(BPF.AND, bit),
      instruction(BPF.JUMP_EQUAL, bit, (3 - index) * 3, 0),
    ]);
    const program = [...bits, instruction(BPF.RETURN, REFUSE), instruction(BPF.RETURN, ALLOW)];
    program[11] = instruction(BPF.JUMP_EQUAL, 8, 1, 0);
    for (const [index, position] of [2, 5, 8].entries()) {
      program[position] = instruction(BPF.JUMP_EQUAL, 1 << index, 12 - position, 0);
    }
    const codes = reduce(program).map(({ code }) => code);
    const { LOAD, JUMP_SET, RETURN } = BPF;
    expect(codes).toEqual([LOAD, JUMP_SET, JUMP_SET, JUMP_SET, JUMP_SET, RETURN, RETURN]);
  });

  test("is the program itself where that has instructions which no filter of libseccomp has", () => {
    const BPF_LDX_IMM = 0x01;
    const program = encodeBpf([instruction(BPF_LDX_IMM, 1), ...allowing([1, 2, 3])]);
    expect(reduceBpf(program)).toBe(program);
  });
});
