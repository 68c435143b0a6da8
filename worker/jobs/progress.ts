import type { ProgressEvent } from "../../shared/job-events.ts";
import type { OutputWatch } from "../container/output-watch.ts";

/** Tells those who watch a job what happens in it. A job that nobody watches costs nothing by it. */
export interface Progress {
  /** For the container whose output is the job's. */
  readonly output: OutputWatch;
  /** Tells of a part of the job. Who begins to watch later is told then, in the same order. */
  report(event: ProgressEvent): void;
}
