import type { ContainerThread, SpawnThread } from "../threads.ts";
import type { Workbench } from "../workbench.ts";

/** What candidates are measured with. */
export interface Tools {
  readonly bench: Workbench;
  readonly spawner: SpawnThread;
  readonly containers: ContainerThread;
  /** Released after the last round. */
  readonly resources: AsyncDisposableStack;
}

/** One way to run the program. */
export interface Candidate {
  /** For `--only`. */
  readonly name: string;
  /** What is measured, from when to when. */
  readonly measures: string;
  /** What it does not do of what a Longshore container does; left out where there is nothing to say. */
  readonly lacks?: string;
  /** Makes ready. */
  open(tools: Tools): Promise<Opening>;
}

/** A candidate that can be measured, or why it cannot. */
export type Opening =
  /** Runs the program once and answers with nanoseconds. */
  | { readonly kind: "ready"; readonly measure: () => Promise<number> }
  | { readonly kind: "unavailable"; readonly reason: string };

/** A candidate that is ready when a first measurement succeeds. */
export async function tryOut(measure: () => Promise<number>): Promise<Opening> {
  try {
    await measure();
    return { kind: "ready", measure };
  } catch (error) {
    return { kind: "unavailable", reason: error instanceof Error ? error.message : String(error) };
  }
}
