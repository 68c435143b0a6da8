/** What the machine's memory is used for, as proc_meminfo(5) has it. */
import { readFileSync } from "node:fs";

/** Fields of /proc/meminfo that grow with processes and containers; all but the cache of files. */
const kinds = {
  slab: ["Slab"],
  "kernel stacks": ["KernelStack"],
  "page tables": ["PageTables", "SecPageTables"],
  "per CPU": ["Percpu"],
  processes: ["AnonPages"],
  tmpfs: ["Shmem"],
} as const;

/** In bytes. */
export type MemoryAccount = Readonly<Record<keyof typeof kinds, number>>;

export const memoryKinds = Object.keys(kinds) as readonly (keyof typeof kinds)[];

/** What is used now. */
export function readMemory(): MemoryAccount {
  const text = readFileSync("/proc/meminfo", "utf8");
  const fields = new Map(
    [...text.matchAll(/^(\w+): +(\d+) kB$/gm)].map(([, name, value]) => [name, Number(value) * 1024]),
  );
  return accountOf((kind) => kinds[kind].reduce((sum, field) => sum + (fields.get(field) ?? 0), 0));
}

/** All kinds together. */
export function totalOf(account: MemoryAccount): number {
  return memoryKinds.reduce((sum, kind) => sum + account[kind], 0);
}

/** What each of so many things takes that were made in between. */
export function shareOf(before: MemoryAccount, after: MemoryAccount, count: number): MemoryAccount {
  return accountOf((kind) => (after[kind] - before[kind]) / count);
}

function accountOf(bytes: (kind: keyof typeof kinds) => number): MemoryAccount {
  return Object.fromEntries(memoryKinds.map((kind) => [kind, bytes(kind)])) as MemoryAccount;
}
