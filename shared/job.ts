/** A job as the API shows it. */
import * as z from "zod";
import { errorCodes } from "./errors.ts";
import { jobResultSchema } from "./job-result.ts";

export const jobStates = ["queued", "running", "done", "failed", "canceled"] as const;
export type JobState = (typeof jobStates)[number];

/** Kinds of job; one so far. */
export const jobKinds = ["run"] as const;

/** Identifies a job: a random UUID, so that it cannot be guessed from another one. */
export const jobIdSchema = z.uuid();

const timestamp = z.iso.datetime();

export const jobErrorSchema = z
  .strictObject({ code: z.enum(errorCodes), message: z.string() })
  .meta({ id: "JobError" });
export type JobError = z.infer<typeof jobErrorSchema>;

export const jobSchema = z
  .strictObject({
    id: jobIdSchema,
    kind: z.enum(jobKinds),
    state: z.enum(jobStates).meta({
      description: "done: the program ran, whatever it did; failed: we failed, see error",
    }),
    createdAt: timestamp,
    startedAt: timestamp.nullable(),
    finishedAt: timestamp.nullable(),
    attempt: z.int().min(0).meta({ description: "how often a worker has started it" }),
    result: jobResultSchema.nullable().meta({ description: "set when the state is done" }),
    error: jobErrorSchema.nullable().meta({ description: "set when the state is failed" }),
  })
  .meta({ id: "Job" });

export type Job = z.infer<typeof jobSchema>;

/** Whether nothing will change about the job any more. */
export function isFinished(job: Pick<Job, "state">): boolean {
  switch (job.state) {
    case "queued":
    case "running":
      return false;
    case "done":
    case "failed":
    case "canceled":
      return true;
    default:
      return job.state satisfies never;
  }
}
