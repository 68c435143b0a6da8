import { fieldOf, type CgroupFiles } from "./files.ts";

/** The container's init counts as well, and is not the program's. */
const INIT = 1;

/** Limits processes and threads alive at once; the controller is the same on v1 and v2. */
export function limitProcesses(files: CgroupFiles, directory: string, processes: number): void {
  files.write(`${directory}/pids.max`, String(processes + INIT));
}

/** How many processes and threads there were, and how often one more was refused. */
export function readProcesses(
  files: CgroupFiles,
  directory: string,
  limit: number,
): { peak: number | null; hits: number } {
  const peakText = files.readIfPresent(`${directory}/pids.peak`);
  const peak = peakText === undefined ? null : Number(peakText);
  // The limit was never reached: nothing was refused, and a file need not be read.
  if (peak !== null && peak < limit + INIT) return { peak, hits: 0 };
  return { peak, hits: fieldOf(files.read(`${directory}/pids.events`), "max") };
}
