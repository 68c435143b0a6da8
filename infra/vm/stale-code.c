/*
 * Shows whether a machine may run code that has been overwritten: QEMU's does when it emulates processors in threads of
 * their own (machine.ts says what follows from that).
 *
 * One thread rewrites the aligned operand of an instruction, then announces it. The other calls the instruction all the
 * time. Once it has seen the announcement and serialized itself (cpuid), it must not find an older operand: section
 * "Handling Self- and Cross-Modifying Code" of Intel's Software Developer's Manual, volume 3.
 *
 *   npm run test:v2 -- -- sh -c 'gcc -O1 -pthread -o /tmp/stale-code infra/vm/stale-code.c && /tmp/stale-code'
 *
 * QEMU 7.2.22, 30 s: with thread=multi 5,975,267 stale calls after 35,774 rewrites, the first after a few dozen; with
 * thread=single none after 2,626, nor on a real processor after 16,259 in 5 s. It exits with 1 if there were any.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { SECONDS = 30, OPERAND = 4 };

/* nop; mov $0, %eax, whose operand is at OPERAND; ret */
static const char code[] = "\x0f\x1f\x00\xb8\0\0\0\0\xc3";

static _Atomic uint32_t announced, acknowledged;
static _Atomic int done;
static unsigned long stale;
static unsigned char *page;

static void *caller(void *nothing) {
  uint32_t (*function)(void) = (uint32_t(*)(void))(uintptr_t)page;
  while (!done) {
    uint32_t expected = announced, eax = 0, ebx, ecx = 0, edx;
    __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx) : : "memory");
    if ((int32_t)(function() - expected) < 0) stale++;
    acknowledged = expected;
    /* Makes it likely that the next rewrite happens within the function. */
    for (int calls = 0; calls < 20; calls++) function();
  }
  return nothing;
}

int main(void) {
  page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return 2;
  memcpy(page, code, sizeof code);
  pthread_t thread;
  if (pthread_create(&thread, NULL, caller, NULL) != 0) return 2;

  uint32_t rewrites = 0;
  for (time_t end = time(NULL) + SECONDS; time(NULL) < end;) {
    atomic_store((_Atomic uint32_t *)(page + OPERAND), ++rewrites);
    announced = rewrites;
    while (acknowledged != rewrites) continue;
  }
  done = 1;
  pthread_join(thread, NULL);
  printf("%u rewrites, %lu stale calls\n", rewrites, stale);
  return stale != 0;
}
