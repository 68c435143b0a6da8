/** Every system call that the profile does not allow, by number, through every door of the kernel's, from a job. */
import { constants } from "node:os";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { defaultSeccompProfile } from "../../worker/container/seccomp/profile.ts";
import { libseccomp } from "../../worker/linux/libseccomp.ts";
import { Target } from "./target.ts";

const { EPERM, ENOSYS } = constants.errno;

/** Above the last of any table: x86_64 ends below 500, with its x32 leftovers below 548. */
const NUMBERS = 1024;

/**
 * uretprobe and uprobe (Linux 6.11, 6.18) pass every filter by, since tracers put them into programs; whoever makes them
 * from anywhere else is ended by SIGILL.
 */
const PASSED_BY: readonly number[] = [335, 336];

/** What a call is answered whose arguments do not matter; undefined where the profile allows it, if only sometimes. */
function answers(): (number | undefined)[] {
  const table: (number | undefined)[] = Array.from({ length: NUMBERS }, () => ENOSYS);
  const { resolveSystemCall } = libseccomp();
  for (const { names, action, errnoRet = EPERM, args = [] } of defaultSeccompProfile.syscalls) {
    for (const number of names.map((name) => Number(resolveSystemCall(name))).filter((number) => number >= 0)) {
      const isRefused = action === "SCMP_ACT_ERRNO" && args.length === 0;
      table[number] = isRefused ? errnoRet : undefined;
    }
  }
  for (const number of PASSED_BY) table[number] = undefined;
  return table;
}

/** Makes calls of three tables with several arguments, and prints those that are not answered as they should be. */
function program(expected: readonly (number | undefined)[]): string {
  return `
#include <stdio.h>
enum { ALLOWED = -1 };
static const short expected[] = { ${expected.map((errno) => errno ?? -1).join(", ")} };
static long native(long number, long word) {
  register long r10 __asm__("r10") = word, r8 __asm__("r8") = word, r9 __asm__("r9") = word;
  long result;
  __asm__ volatile("syscall" : "=a"(result)
    : "a"(number), "D"(word), "S"(word), "d"(word), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
  return result;
}
static long i386(long number, long word) {
  long result;
  __asm__ volatile("int $0x80" : "=a"(result)
    : "a"(number), "b"(word), "c"(word), "d"(word), "S"(word), "D"(word) : "r8", "r9", "r10", "r11", "memory");
  return result;
}
int main(void) {
  static const long words[] = { 0, -1, 1, 0x10000000, 0x7fffffffffffffff };
  int tried = 0;
  for (long number = 0; number < ${expected.length}; number++)
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++) {
      // Garbage above the 32 bits of a number makes it no other one.
      long high = number | 0x100000000;
      if (expected[number] != ALLOWED) {
        long results[] = { native(number, words[i]), native(high, words[i]) };
        for (int j = 0; j < 2; j++)
          if (results[j] != -expected[number]) printf("%ld: %ld\\n", number, results[j]);
      }
      long x32 = native(number | 0x40000000, words[i]), old = i386(number, words[i]);
      if (x32 != -${ENOSYS}) printf("x32 %ld: %ld\\n", number, x32);
      if (old != -${ENOSYS}) printf("i386 %ld: %ld\\n", number, old);
      tried++;
    }
  printf("%d tried\\n", tried);
}`;
}

describe.runIf(process.arch === "x64")("a program", () => {
  let target: Target;
  beforeAll(async () => {
    target = await Target.open();
  });
  afterAll(() => target[Symbol.asyncDispose]());

  test.each(PASSED_BY)("that makes call %d is ended, or has no such call", async (number) => {
    const source = `#include <unistd.h>\n#include <sys/syscall.h>\nint main(void) { return syscall(${number}, 0) != -1; }`;
    const { result } = await target.run({ language: "c", source });
    expect(["SIGILL", 0]).toContain(result?.signal ?? result?.exitCode);
  });

  test("has no system call but those of the profile, natively, as x32, or through the gate of 32-bit programs", async () => {
    const expected = answers();
    // The profile is no wall without doors, nor a door without a wall.
    const refused = expected.filter((errno) => errno !== undefined).length;
    expect(refused).toBeGreaterThan(600);
    expect(refused).toBeLessThan(NUMBERS - 250);
    const output = await target.output({ language: "c", source: program(expected) });
    expect(output).toBe(`${NUMBERS * 5} tried\n`);
  });
});
