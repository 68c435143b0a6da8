/** What runs in a thread that compares. */
import { compareFiles, type Comparison, type ComparisonResult } from "./compare-files.ts";

/** Executes one task. */
export default function perform(task: Comparison): ComparisonResult {
  return compareFiles(task);
}
