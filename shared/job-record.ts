/** A job's record in Redis, and how it is read as a {@link Job}. */
import { type Job, type JobError, type JobKind, jobKinds, type JobState } from "./job.ts";

/** Fields that a {@link Job} is made of; the request stays in Redis, it may be megabytes. */
export const viewFields = [
  "id",
  "kind",
  "state",
  "createdAt",
  "startedAt",
  "finishedAt",
  "attempt",
  "result",
  "error",
] as const;

/**
 * Makes a job of what HMGET answers for {@link viewFields}; nothing when there is no record.
 * What stands in a record was written by this code's own scripts from checked values.
 */
export function readJob(values: readonly (string | null)[]): Job | undefined {
  const [id, kind, state, createdAt, startedAt, finishedAt, attempt, result, error] = values;
  if (!id || !isKind(kind) || !state || !createdAt) return undefined;
  return {
    id,
    kind,
    state: state as JobState,
    createdAt: toTimestamp(createdAt),
    startedAt: startedAt ? toTimestamp(startedAt) : null,
    finishedAt: finishedAt ? toTimestamp(finishedAt) : null,
    attempt: Number(attempt ?? 0),
    result: result ? JSON.parse(result) : null,
    error: error ? (JSON.parse(error) as JobError) : null,
  };
}

/** Reads what is published with the id of a job that has finished, which scripts make of the same fields. */
export function readToldJob(record: string): Job | undefined {
  // In Lua false stands for what is not there.
  const values = JSON.parse(record) as readonly (string | false)[];
  return readJob(values.map((value) => (value === false ? null : value)));
}

/** The job as it is in the moment in which it is accepted, without asking Redis again. */
export function newJob(id: string, kind: JobKind, createdAt: string): Job {
  return {
    id,
    kind,
    state: "queued",
    createdAt: toTimestamp(createdAt),
    startedAt: null,
    finishedAt: null,
    attempt: 0,
    result: null,
    error: null,
  };
}

function isKind(text: string | null | undefined): text is JobKind {
  return jobKinds.some((kind) => kind === text);
}

/** Records hold milliseconds with decimals, as Redis's clock gave them. */
function toTimestamp(milliseconds: string): string {
  return new Date(Number(milliseconds)).toISOString();
}
