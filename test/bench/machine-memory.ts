/** What the machine's memory is used for, as proc_meminfo(5) has it. */
import { readFileSync } from "node:fs";

/** What a figure is made from: fields of /proc/meminfo, some of them taken off. */
const kinds = {
  all: ["MemTotal", "-MemFree", "-Buffers", "-Cached", "Shmem"],
  slab: ["Slab"],
  "kernel stacks": ["KernelStack"],
  "page tables": ["PageTables", "SecPageTables"],
  "per CPU": ["Percpu"],
  processes: ["AnonPages"],
  tmpfs: ["Shmem"],
} as const;

/** In bytes. `all` is whatever is not free, without the cache of files; the others are parts of it. */
export type MemoryAccount = Readonly<Record<keyof typeof kinds, number>>;

export const memoryKinds = Object.keys(kinds) as readonly (keyof typeof kinds)[];

/** What is used now. */
export function readMemory(): MemoryAccount {
  const text = readFileSync("/proc/meminfo", "utf8");
  const fields = new Map(
    [...text.matchAll(/^(\w+): +(\d+) kB$/gm)].map(([, name, value]) => [name, Number(value) * 1024]),
  );
  return accountOf((kind) =>
    kinds[kind].reduce((sum, term) => {
      const value = fields.get(term.replace("-", "")) ?? 0;
      return term.startsWith("-") ? sum - value : sum + value;
    }, 0),
  );
}

/** What each of so many things takes that were made in between. */
export function shareOf(before: MemoryAccount, after: MemoryAccount, count: number): MemoryAccount {
  return accountOf((kind) => (after[kind] - before[kind]) / count);
}

function accountOf(bytes: (kind: keyof typeof kinds) => number): MemoryAccount {
  return Object.fromEntries(memoryKinds.map((kind) => [kind, bytes(kind)])) as MemoryAccount;
}
