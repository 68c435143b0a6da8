import type { OutputSource, ProgressEvent } from "../../shared/job-events.ts";
import type { OutputWatch } from "../container/output-watch.ts";

/** Tells those who watch a job what happens in it. A job that nobody watches costs nothing by it. */
export interface Progress {
  /** For the container whose output is the job's. */
  readonly output: OutputWatch;
  /**
   * For containers of a part of the job, one after the other: what the next one prints comes behind what the last one has.
   * @param bytesMax of each stream, of all of them together: what is beyond it is not shown
   */
  outputOf(source: OutputSource, bytesMax: number): OutputWatch;
  /** Tells of a part of the job. Who begins to watch later is told then, in the same order. */
  report(event: ProgressEvent): void;
  /** Resolves when everything so far has been told, or nobody wants to know. */
  flush(): Promise<void>;
}
