import type { Argument, DescriptorArgument, Step, Word } from "./step.ts";

/** A string argument. */
export function string(text: string): Argument {
  return { kind: "string", text };
}

/** The result of an earlier step. */
export function resultOf(step: Step): DescriptorArgument {
  return { kind: "result", step };
}

/** Constants from one table of `worker/linux/constants.ts`, or-ed together: `flags(MS, "MS_REC", "MS_PRIVATE")`. */
export function flags<Table extends Readonly<Record<string, number>>>(
  table: Table,
  ...names: (keyof Table & string)[]
): Argument {
  let value = 0n;
  for (const name of names) value |= BigInt.asUintN(64, BigInt(table[name] ?? 0));
  return { kind: "constant", value: BigInt.asIntN(64, value), text: names.length === 0 ? "0" : names.join("|") };
}

/** A number shown in octal, as modes are. */
export function mode(value: number): Argument {
  return { kind: "constant", value, text: `0${value.toString(8)}` };
}

/** A NULL pointer. */
export const NULL: Argument = { kind: "constant", value: 0, text: "NULL" };

/** A struct of 64-bit words, with `text` for people. */
export function words(text: string, ...values: Word[]): Argument {
  return { kind: "words", words: values, text };
}

/** Bytes that a call reads, with `text` for people. */
export function bytes(text: string, content: Uint8Array): Argument {
  return { kind: "bytes", bytes: content, text };
}

/** Room for a result of `length` bytes. */
export function room(length: number, text: string): Argument {
  return { kind: "room", length, text };
}
