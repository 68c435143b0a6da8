import type { Findings } from "./report.ts";
import type { RoundOptions } from "./rounds.ts";
import type { Workbench } from "./workbench.ts";

/** What the command line says. */
export interface ProgramOptions extends RoundOptions {
  /** Names of subjects; all when left out. */
  readonly only?: readonly string[];
}

/** Something that `npm run bench` can measure. */
export interface BenchProgram {
  /** Word of the command line. */
  readonly name: string;
  readonly title: string;
  /** One line of help. */
  readonly summary: string;
  /** What `only` may name. */
  readonly subjects: readonly string[];
  run(bench: Workbench, options: ProgramOptions): Promise<Findings>;
}
