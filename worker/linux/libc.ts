/**
 * The door to the kernel: system calls, and glibc's posix_spawn(3), through koffi.
 *
 * `systemCall` answers as the kernel does, with a value at or above 0 or a negated error number.
 */
import koffi from "koffi";
import { SystemCallError } from "./errno.ts";
import { loadSystemCallStub } from "./system-call-stub.ts";
import { systemCalls, type SystemCall } from "./system-calls.ts";

export const libc = koffi.load("libc.so.6");

const stub = loadSystemCallStub(libc);

/**
 * An argument of a system call; of bytes, the address is passed. That is done by koffi, within the call: an address taken
 * beforehand would not keep V8 from collecting the buffer, and the kernel would write into memory that is another's.
 */
export type Word = number | bigint | Uint8Array;

/** Makes a system call; returns its result, or the negated errno. */
export function systemCall(
  name: SystemCall,
  a: Word = 0,
  b: Word = 0,
  c: Word = 0,
  d: Word = 0,
  e: Word = 0,
  f: Word = 0,
): number {
  return Number(stub(systemCalls[name], a, b, c, d, e, f));
}

/**
 * Makes a system call that has to succeed; returns its result.
 * @throws {SystemCallError}
 */
export function mustCall(name: SystemCall, ...words: [Word?, Word?, Word?, Word?, Word?, Word?]): number {
  const result = systemCall(name, ...words);
  if (result < 0) throw new SystemCallError(name, -result);
  return result;
}

/** The bytes of a C string: UTF-8 and a NUL. */
export function cString(text: string): Buffer {
  return Buffer.from(`${text}\0`);
}
