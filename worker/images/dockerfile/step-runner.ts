import type { RunWork } from "./interpret.ts";
import type { User } from "../tree/users.ts";

/** A RUN, with all that its container needs. */
export interface StepRequest {
  readonly work: RunWork;
  readonly user: User;
  /** Directories to be stacked, lowest first. */
  readonly lowerDirs: readonly string[];
  /** An empty directory of the store's file system. */
  readonly scratchDirectory: string;
  /** Receives what the command prints, line by line as it comes. */
  readonly onLine: (line: string) => void;
}

/** How a RUN ended. */
export type StepEnding =
  | { readonly kind: "succeeded"; readonly changes: "unchanged" }
  /** `directory` holds the changes as a layer does, on the store's file system. */
  | { readonly kind: "succeeded"; readonly changes: "changed"; readonly directory: string }
  /** `ending` is `exit code N`, the name of a signal, or the limit that was hit. */
  | { readonly kind: "failed"; readonly ending: string; readonly lines: readonly string[] };

/** Runs the steps of builds in containers; the builder knows no more of containers than this. */
export interface StepRunner {
  /** @throws the reason of `signal`; an error when the machine cannot run a container */
  run(request: StepRequest, signal: AbortSignal): Promise<StepEnding>;
}
