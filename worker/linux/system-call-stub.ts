/**
 * Machine code of our own that makes a system call and returns what the kernel answered.
 *
 * glibc's syscall(2) leaves the error in the thread's errno, and between that call and the next one, which would read
 * errno, V8 may collect garbage: its threads' futexes and mappings leave errnos of their own. An answer that comes back
 * in the return value can't be mistaken for another's.
 */
import koffi, { type KoffiFunc, type LibraryHandle } from "koffi";

/**
 * `long stub(long number, a, b, c, d, e, f)`: moves the arguments from where the System V ABI has them to where the
 * kernel wants them, as sysdeps/unix/sysv/linux/x86_64/syscall.S of glibc does.
 */
const X86_64 = Buffer.from(
  [
    "f30f1efa", // endbr64
    "4889f8", // mov rax, rdi: the number
    "4889f7", // mov rdi, rsi
    "4889d6", // mov rsi, rdx
    "4889ca", // mov rdx, rcx
    "4d89c2", // mov r10, r8: syscall takes rcx for itself
    "4d89c8", // mov r8, r9
    "4c8b4c2408", // mov r9, [rsp + 8]
    "0f05", // syscall
    "c3", // ret
  ].join(""),
  "hex",
);

// From <asm-generic/mman-common.h>.
const [PROT_READ, PROT_WRITE, PROT_EXEC] = [1, 2, 4];
const [MAP_PRIVATE, MAP_ANONYMOUS, MAP_FAILED] = [0x02, 0x20, -1];

/** `void *` takes numbers and buffers alike. */
const WORD = "void *";
const prototype = koffi.proto("long longshore_system_call(long, void *, void *, void *, void *, void *, void *)");

/** The stub, as a function: of the call's number and six words. It stays mapped as long as the process lives. */
export function loadSystemCallStub(libc: LibraryHandle): KoffiFunc<(...words: unknown[]) => number | bigint> {
  const map = libc.func("mmap", "intptr_t", [WORD, "size_t", "int", "int", "int", "long"]);
  const copy = libc.func("memcpy", WORD, ["intptr_t", WORD, "size_t"]);
  const protect = libc.func("mprotect", "int", ["intptr_t", "size_t", "int"]);
  const address: number = map(null, X86_64.length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address === MAP_FAILED) throw new Error("cannot map a page for the code that makes system calls");
  copy(address, X86_64, X86_64.length);
  if (protect(address, X86_64.length, PROT_READ | PROT_EXEC) !== 0) {
    throw new Error("cannot make a page executable, as V8's compiler has to as well: a security module forbids it");
  }
  return koffi.decode(BigInt(address), prototype) as KoffiFunc<(...words: unknown[]) => number | bigint>;
}
