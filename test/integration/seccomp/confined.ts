/**
 * A process that puts a seccomp filter on itself and then does what it is asked.
 *
 *     node confined.ts FILTER '[["native", 272, 0x10000000], ["x32", 39], ["i386", 20]]'   prints the results as JSON
 *     node confined.ts FILTER PROGRAM ARGUMENT…                                            runs it under the filter
 *
 * A result is what the kernel answered: at or above 0, or a negated errno.
 */
import { readFileSync, writeSync } from "node:fs";
import koffi from "koffi";
import { libc, mustCall } from "../../../worker/linux/libc.ts";
import { openSealedFile } from "../../../worker/linux/memory-file.ts";
import { loadSystemCallStub } from "../../../worker/linux/system-call-stub.ts";

/** An entry point of the kernel, the number of a system call, its arguments. */
export type Call = readonly [entry: "native" | "x32" | "i386", number: number, ...words: number[]];

const PR_SET_NO_NEW_PRIVS = 38;
const SECCOMP_SET_MODE_FILTER = 1;
const X32_BIT = 0x40000000;

const rawCall = loadSystemCallStub(libc);

function call([entry, number, ...words]: Call): number {
  const [a = 0, b = 0, c = 0, d = 0, e = 0] = words;
  switch (entry) {
    case "native":
    case "x32":
      return Number(rawCall(entry === "x32" ? number | X32_BIT : number, a, b, c, d, e, 0));
    case "i386":
      return i386Call()(number, a);
    default:
      throw new Error(`unknown entry point ${String(entry satisfies never)}`);
  }
}

/** A function in machine code, (number, argument) → result, that enters the kernel as 32-bit programs do. */
function i386Call(): (number: number, argument: number) => number {
  const code = Buffer.from([
    0x53, // push rbx
    ...[0x89, 0xf8], // mov eax, edi
    ...[0x89, 0xf3], // mov ebx, esi
    ...[0x31, 0xc9], // xor ecx, ecx
    ...[0x31, 0xd2], // xor edx, edx
    ...[0xcd, 0x80], // int 0x80
    0x5b, // pop rbx
    0xc3, // ret
  ]);
  const PROT_READ_EXEC = 5;
  const MAP_PRIVATE = 2;
  const mmap = libc.func("mmap", "void *", ["void *", "size_t", "int", "int", "int", "long"]);
  const memory: unknown = mmap(null, 4096, PROT_READ_EXEC, MAP_PRIVATE, openSealedFile("int80", code), 0);
  return koffi.decode(memory, koffi.proto("int", ["int", "int"]));
}

function attach(filter: Uint8Array): void {
  // struct sock_fprog: an unsigned short, padding, a pointer
  const program = Buffer.alloc(16);
  program.writeUInt16LE(filter.byteLength / 8, 0);
  program.writeBigUInt64LE(koffi.address(filter), 8);
  mustCall("prctl", PR_SET_NO_NEW_PRIVS, 1);
  mustCall("seccomp", SECCOMP_SET_MODE_FILTER, 0, program);
}

const [filterPath, first, ...rest] = process.argv.slice(2);
if (filterPath === undefined || first === undefined) throw new Error("usage: confined.ts FILTER CALLS | PROGRAM …");
// Loading a library after the filter is attached would be one more thing under test.
const calls: readonly Call[] | undefined = first.startsWith("[") ? JSON.parse(first) : undefined;
const exit = libc.func("_exit", "void", ["int"]);
attach(readFileSync(filterPath));
// From here on not back to the event loop: Node has opened an io_uring before, and may not use it any more.
if (calls !== undefined) {
  writeSync(1, JSON.stringify(calls.map(call)));
  exit(0);
}
// By way of env(1), which looks the program up.
process.execve?.("/usr/bin/env", ["env", first, ...rest]);
