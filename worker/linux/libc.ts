/**
 * The door to the kernel: glibc's syscall(2) and posix_spawn(3), through koffi.
 *
 * `systemCall` answers as the kernel does, with a value at or above 0 or a negated error number.
 */
import koffi from "koffi";
import { SystemCallError } from "./errno.ts";
import { systemCalls, type SystemCall } from "./system-calls.ts";

export const libc = koffi.load("libc.so.6");

// syscall(2): -1 and errno on failure. Declared with the six register arguments instead of as variadic: glibc's
// version is assembly that moves registers, whatever their types. As pointers, they take numbers and buffers alike.
const POINTER = "void *";
const syscall = libc.func("syscall", "long", ["long", POINTER, POINTER, POINTER, POINTER, POINTER, POINTER]);

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
  const result = Number(syscall(systemCalls[name], a, b, c, d, e, f));
  // koffi keeps errno as it was after the last call that set it: it means something only now.
  return result === -1 ? -koffi.errno() : result;
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
