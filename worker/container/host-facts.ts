import { lstatSync, type Stats } from "node:fs";
import type { HostFacts } from "./plan/facts.ts";

/**
 * Of Docker's and the OCI examples' `maskedPaths`, those under /proc; which exist depends on the kernel's configuration. And
 * `locks`: those of open files (F_OFD_SETLK) are shown to everybody, with numbers by which jobs could talk to each other.
 */
const MASKED = [
  "acpi",
  "asound",
  "interrupts",
  "kallsyms",
  "kcore",
  "keys",
  "latency_stats",
  "locks",
  "sched_debug",
  "scsi",
  "timer_list",
  "timer_stats",
];

/** Which files and directories right under /proc have to be hidden on this kernel. */
export function findMaskedPaths(procDirectory = "/proc"): Pick<HostFacts, "maskedFiles" | "maskedDirectories"> {
  const status = (name: string): Stats | undefined => lstatSync(`${procDirectory}/${name}`, { throwIfNoEntry: false });
  return {
    maskedFiles: MASKED.filter((name) => status(name)?.isFile()),
    maskedDirectories: MASKED.filter((name) => status(name)?.isDirectory()),
  };
}
