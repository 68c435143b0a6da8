import type { Argument, DescriptorArgument, Step, Word } from "./step.ts";

/** A string argument. */
export function string(text: string): Argument {
  return { kind: "string", text };
}

/** The result of an earlier step. */
export function resultOf(step: Step): DescriptorArgument {
  return { kind: "result", step };
}

/** What {@link flags} has made, by table and names: a plan has a hundred of them, and nearly all are the last plan's. */
const madeFlags = new Map<Readonly<Record<string, number>>, Map<string, Argument>>();

/** Constants from one table of `worker/linux/constants.ts`, or-ed together: `flags(MS, "MS_REC", "MS_PRIVATE")`. */
export function flags<Table extends Readonly<Record<string, number>>>(
  table: Table,
  ...names: (keyof Table & string)[]
): Argument {
  const made = madeFlags.get(table) ?? new Map<string, Argument>();
  madeFlags.set(table, made);
  const text = names.length === 0 ? "0" : names.join("|");
  const known = made.get(text);
  if (known !== undefined) return known;
  let value = 0n;
  for (const name of names) value |= BigInt.asUintN(64, BigInt(table[name] ?? 0));
  const argument: Argument = { kind: "constant", value: asNumber(BigInt.asIntN(64, value)), text };
  made.set(text, argument);
  return argument;
}

/** A number, where that is exact: it is handled faster. */
function asNumber(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
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
