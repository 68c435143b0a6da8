import { readFileSync } from "node:fs";
import type { JobStage } from "../../shared/trace.ts";

/** Environment variable with the path of the file that stages are noted in. */
export const STAGES_FILE = "BENCH_STAGES";

/** The end of a stage, on the machine's monotonic clock in nanoseconds. */
export interface StageEnd {
  readonly stage: JobStage;
  readonly at: bigint;
}

/** All that was noted, in the order of time. */
export function readStages(path: string): readonly StageEnd[] {
  const lines = readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line !== "");
  const ends = lines.map((line): StageEnd => {
    const [at = "", stage = ""] = line.split(" ");
    return { stage: stage as JobStage, at: BigInt(at) };
  });
  return ends.toSorted((a, b) => (a.at < b.at ? -1 : Number(a.at > b.at)));
}
