import type { Submission } from "./judge-client.ts";

/** Needs nothing but a core: a long chain of multiplications, each of which waits for the one before. */
const CHAIN = `
#include <stdint.h>
#include <stdio.h>
int main(void) {
  uint64_t value = 1;
  for (uint32_t step = 0; step < 100000000; step++) value = value * 6364136223846793005u + 1442695040888963407u;
  printf("%llu\\n", (unsigned long long)value);
}
`;

/** Goes round a random cycle through memory: each step waits for a word that no cache near the core has. */
const walk = (bytes: number, condition: string): string => `
#include <stdint.h>
#include <stdio.h>
enum { WORDS = ${bytes / 4} };
static uint32_t next[WORDS];
int main(void) {
  uint64_t random = 1;
  for (uint32_t word = 0; word < WORDS; word++) next[word] = word;
  for (uint32_t word = WORDS - 1; word > 0; word--) { /* Sattolo: one cycle through all of them */
    random = random * 6364136223846793005u + 1442695040888963407u;
    uint32_t other = (random >> 33) % word, kept = next[word];
    next[word] = next[other];
    next[other] = kept;
  }
  uint32_t place = 0;
  for (uint32_t step = 0; ${condition}; step++) place = next[place];
  printf("%u\\n", place);
}
`;

const MiB = 1024 * 1024;

/** What is judged: by which of the machine's parts it is bound, and how. */
export const submissions = {
  core: { language: "c", source: CHAIN },
  memory: { language: "c", source: walk(8 * MiB, "step < 4000000") },
} as const satisfies Readonly<Record<string, Submission>>;

/** What other slots are busy with: it never ends (which no compiler can know), and takes as much of caches and memory as one program can. */
export const neighbour: Submission = { language: "c", source: walk(64 * MiB, "place < WORDS") };

/** Reads many files of its image: an interpreter and some of its library. */
export const reader: Submission = { language: "python", source: 'import json, decimal, email\nprint("read")\n' };
