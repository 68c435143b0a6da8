/** CPUs or NUMA nodes as the kernel writes them, e.g. `0-3,8`: the "List format" of cpuset(7). Without repetitions, in order. */
export function parseCpuList(text: string): readonly number[] {
  const ranges = text.trim().split(",").filter(Boolean);
  const numbers = ranges.flatMap((range) => {
    const [first = Number.NaN, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
  return [...new Set(numbers)].toSorted((one, other) => one - other);
}

/** The same as text that the kernel takes; it need not be the shortest. */
export function formatCpuList(numbers: readonly number[]): string {
  return numbers.toSorted((one, other) => one - other).join(",");
}
