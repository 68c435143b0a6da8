/**
 * Classic BPF, as far as filters of system calls have it: an accumulator, into which words of `struct seccomp_data` are
 * loaded, and jumps, which only go forward.
 *
 * Source: linux/filter.h of the kernel, seccomp_check_filter in kernel/seccomp.c, and what libseccomp emits.
 */

/** sizeof(struct sock_filter) */
export const BPF_INSTRUCTION_BYTES = 8;

/** Codes of instructions. */
export const BPF = {
  /** Loads the word at the offset `k`. */
  LOAD: 0x20,
  /** Keeps the bits of `k` of what is loaded. */
  AND: 0x54,
  /** Goes on `k` instructions behind the next one. */
  JUMP: 0x05,
  /** The jumps that compare what is loaded with `k`: they go on `onTrue` or `onFalse` instructions behind the next one. */
  JUMP_EQUAL: 0x15,
  JUMP_GREATER: 0x25,
  JUMP_GREATER_OR_EQUAL: 0x35,
  /** Whether one of the bits of `k` is set. */
  JUMP_SET: 0x45,
  /** Answers `k`. */
  RETURN: 0x06,
} as const;

/** A `struct sock_filter`. */
export interface BpfInstruction {
  readonly code: number;
  /** 0 to 255, as `onFalse`. */
  readonly onTrue: number;
  readonly onFalse: number;
  /** 32 bits, unsigned. */
  readonly k: number;
}

/** The instructions of a program. */
export function decodeBpf(bytes: Uint8Array): BpfInstruction[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.byteLength / BPF_INSTRUCTION_BYTES }, (_, index) => {
    const offset = index * BPF_INSTRUCTION_BYTES;
    return {
      code: view.getUint16(offset, true),
      onTrue: view.getUint8(offset + 2),
      onFalse: view.getUint8(offset + 3),
      k: view.getUint32(offset + 4, true),
    };
  });
}

/** The bytes of a program. */
export function encodeBpf(program: readonly BpfInstruction[]): Uint8Array {
  const bytes = new Uint8Array(program.length * BPF_INSTRUCTION_BYTES);
  const view = new DataView(bytes.buffer);
  for (const [index, { code, onTrue, onFalse, k }] of program.entries()) {
    const offset = index * BPF_INSTRUCTION_BYTES;
    view.setUint16(offset, code, true);
    view.setUint8(offset + 2, onTrue);
    view.setUint8(offset + 3, onFalse);
    view.setUint32(offset + 4, k, true);
  }
  return bytes;
}

/** The instruction at an index. @throws {RangeError} when the program has run over its end, where none may */
export function instructionAt(program: readonly BpfInstruction[], index: number): BpfInstruction {
  const instruction = program[index];
  if (instruction === undefined) throw new RangeError("the program does not end with an answer");
  return instruction;
}

/** Where a jump that compares leads to. */
export function targetsOf({ onTrue, onFalse }: BpfInstruction, index: number): { yes: number; no: number } {
  return { yes: index + 1 + onTrue, no: index + 1 + onFalse };
}
