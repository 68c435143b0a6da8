import { readFileSync } from "node:fs";
import { join } from "node:path";

/** How often a program was begun, and how often it got to its end. */
export interface Executions {
  readonly begun: number;
  readonly completed: number;
}

/** What the programs of a job have written into the ledger: the truth about what was executed, whoever believes what. */
export function readExecutions(ledger: string, key: string): Executions {
  let lines: string[];
  try {
    lines = readFileSync(join(ledger, key), "utf8").split("\n");
  } catch {
    return { begun: 0, completed: 0 };
  }
  const count = (word: string): number => lines.filter((line) => line === word).length;
  return { begun: count("start"), completed: count("end") };
}
