import { describe, expect, test } from "vitest";
import { defaultSeccompProfile } from "../../../worker/container/seccomp/profile.ts";
import { BPF, type BpfInstruction, decodeBpf } from "../../../worker/linux/bpf/program.ts";
import { reduceBpf } from "../../../worker/linux/bpf/reduce.ts";
import { exportSeccompFilter } from "../../../worker/linux/seccomp.ts";
import { evaluateBpf, type FilterData } from "../../support/evaluate-bpf.ts";

/** Offset in `struct seccomp_data`. */
const NUMBER = 0;
/** Numbers of calls that there are, and as many that there may be once. */
const NUMBERS = 1024;
const X32 = 0x40000000;

/**
 * Values of each word that make a difference to a program: what it compares the word with, alone and beside other bits,
 * and what is next to that. Of numbers of calls, all that there can be as well.
 */
function valuesThatMatter(program: readonly BpfInstruction[]): ReadonlyMap<number, readonly number[]> {
  const values = new Map<number, Set<number>>();
  let word = NUMBER;
  for (const { code, k } of program) {
    if (code === BPF.LOAD) word = k;
    const those = values.get(word) ?? new Set([0, 0xffffffff]);
    values.set(word, those);
    if ([BPF.LOAD, BPF.RETURN, BPF.JUMP].some((other) => other === code)) continue;
    for (const value of [k, k - 1, k + 1, ~k]) those.add(value >>> 0);
  }
  const numbers = values.get(NUMBER);
  for (let number = 0; number < NUMBERS; number++) numbers?.add(number).add(X32 + number);
  return new Map([...values].map(([offset, those]) => [offset, [...those]]));
}

/** Everything that a program can be asked with these values, as far as it looks. */
function* questions(
  program: readonly BpfInstruction[],
  values: ReadonlyMap<number, readonly number[]>,
  data: FilterData = new Map(),
): Generator<FilterData> {
  const word = evaluateBpf(program, data).loaded.find((offset) => !data.has(offset));
  if (word === undefined) yield data;
  else for (const value of values.get(word) ?? []) yield* questions(program, values, new Map([...data, [word, value]]));
}

describe("the default profile's filter, reduced", () => {
  const program = decodeBpf(exportSeccompFilter(defaultSeccompProfile));
  const reduced = decodeBpf(reduceBpf(exportSeccompFilter(defaultSeccompProfile)));

  test("answers as libseccomp's does, to every call of every architecture with every argument that matters", () => {
    let asked = 0;
    const different: unknown[] = [];
    for (const data of questions(program, valuesThatMatter(program))) {
      asked++;
      const [answer, before] = [evaluateBpf(reduced, data).answer, evaluateBpf(program, data).answer];
      if (answer !== before) different.push({ data, answer, before });
    }
    expect(different).toEqual([]);
    expect(asked).toBeGreaterThan(2 * NUMBERS);
  });

  test("is less than half of it", () => {
    expect(reduced.length).toBeLessThan(program.length / 2);
  });

  test("looks at no more of a call than numbers and arguments", () => {
    const INSTRUCTION_POINTER = 8;
    expect(reduced.filter(({ code, k }) => code === BPF.LOAD && (k === INSTRUCTION_POINTER || k === 12))).toEqual([]);
  });
});
