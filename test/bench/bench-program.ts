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
  /** How many rounds when the command line does not say, where they take longer than a container does. */
  readonly rounds?: { readonly count: number; readonly warmUp: number };
  run(bench: Workbench, options: ProgramOptions): Promise<Findings>;
}
