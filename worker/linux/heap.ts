import { libc } from "./libc.ts";

/** malloc_trim(3): gives memory that is free back to the kernel, but for so many bytes; 1 when there was any. */
const mallocTrim = libc.func("malloc_trim", "int", ["size_t"]);

/** Gives back what this process does not need any more, of V8's memory only when it runs with `--expose-gc`. */
export function returnFreeMemory(): void {
  globalThis.gc?.();
  mallocTrim(0);
}
