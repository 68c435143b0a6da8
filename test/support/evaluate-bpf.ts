import { BPF, type BpfInstruction } from "../../worker/linux/bpf/program.ts";

/** What a filter is asked about: words of `struct seccomp_data` by their offset; those not given are 0. */
export type FilterData = ReadonlyMap<number, number>;

/** What a program said, and what it had to know for that. */
export interface Evaluation {
  readonly answer: number;
  /** Offsets, in the order in which they were first loaded. */
  readonly loaded: readonly number[];
}

/** Executes a filter as the kernel does (Documentation/networking/filter.rst). */
export function evaluateBpf(program: readonly BpfInstruction[], data: FilterData): Evaluation {
  const loaded = new Set<number>();
  let accumulator = 0;
  for (let at = 0; ; at++) {
    const instruction = program[at];
    if (instruction === undefined) throw new RangeError(`there is no instruction ${at}`);
    const { code, onTrue, onFalse, k } = instruction;
    const jumpIf = (isTrue: boolean): number => (isTrue ? onTrue : onFalse);
    switch (code) {
      case BPF.LOAD:
        loaded.add(k);
        accumulator = data.get(k) ?? 0;
        break;
      case BPF.AND:
        accumulator = (accumulator & k) >>> 0;
        break;
      case BPF.JUMP:
        at += k;
        break;
      case BPF.JUMP_EQUAL:
        at += jumpIf(accumulator === k);
        break;
      case BPF.JUMP_GREATER:
        at += jumpIf(accumulator > k);
        break;
      case BPF.JUMP_GREATER_OR_EQUAL:
        at += jumpIf(accumulator >= k);
        break;
      case BPF.JUMP_SET:
        at += jumpIf((accumulator & k) !== 0);
        break;
      case BPF.RETURN:
        return { answer: k, loaded: [...loaded] };
      default:
        throw new RangeError(`the kernel knows more instructions than this: ${code}`);
    }
  }
}
