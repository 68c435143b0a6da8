/**
 * Loaded by API, worker and slots' threads before anything else (`node --import`) when their stages are measured: notes
 * when each stage was over. All processes of a machine have one monotonic clock.
 *
 * Notes are written when a process's share of a job is done, in one piece, so that writing is in nobody's time.
 */
import { subscribe } from "node:diagnostics_channel";
import { openSync, writeSync } from "node:fs";
import { type JobStage, JOB_STAGE_CHANNEL } from "../../shared/trace.ts";
import { STAGES_FILE } from "./stage-file.ts";

/** After these it is another process's turn, or nobody's. */
const ENDS: ReadonlySet<JobStage> = new Set(["accepted", "stored", "answered"]);

const path = process.env[STAGES_FILE];
if (path === undefined) throw new Error(`${STAGES_FILE} names no file to write stages to`);
const descriptor = openSync(path, "a");
let notes = "";

subscribe(JOB_STAGE_CHANNEL, (message) => {
  const stage = message as JobStage;
  notes += `${process.hrtime.bigint()} ${stage}\n`;
  if (!ENDS.has(stage)) return;
  const written = notes;
  notes = "";
  setImmediate(() => writeSync(descriptor, written));
});
