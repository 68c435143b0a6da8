/** A job as the API shows it. */
import * as z from "zod";
import { errorCodes } from "./errors.ts";
import { jobResultSchema } from "./job-result.ts";
import { judgeResultSchema } from "./judge-result.ts";
import { shardResultSchema } from "./shard-result.ts";

export const jobStates = ["queued", "running", "done", "failed", "canceled"] as const;
export type JobState = (typeof jobStates)[number];

/** Kinds of job. */
export const jobKinds = ["run", "judge", "shard"] as const;
export type JobKind = (typeof jobKinds)[number];

/** Identifies a job: a random UUID, so that it cannot be guessed from another one. */
export const jobIdSchema = z.uuid();

const timestamp = z.iso.datetime();

export const jobErrorSchema = z
  .strictObject({ code: z.enum(errorCodes), message: z.string() })
  .meta({ id: "JobError" });
export type JobError = z.infer<typeof jobErrorSchema>;

function jobOf<Kind extends JobKind, Result extends z.ZodType>(kind: Kind, result: Result) {
  return z.strictObject({
    id: jobIdSchema,
    kind: z.literal(kind),
    state: z.enum(jobStates).meta({
      description: "done: the program ran, whatever it did; failed: we failed, see error",
    }),
    createdAt: timestamp,
    startedAt: timestamp.nullable(),
    finishedAt: timestamp.nullable(),
    attempt: z.int().min(0).meta({ description: "how often a worker has started it" }),
    result: result.nullable().meta({ description: "set when the state is done" }),
    error: jobErrorSchema.nullable().meta({ description: "set when the state is failed" }),
  });
}

export const runJobSchema = jobOf("run", jobResultSchema).meta({ id: "RunJob" });
export const judgeJobSchema = jobOf("judge", judgeResultSchema).meta({ id: "JudgeJob" });
export const shardJobSchema = jobOf("shard", shardResultSchema).meta({ id: "ShardJob" });
export const jobSchema = z
  .discriminatedUnion("kind", [runJobSchema, judgeJobSchema, shardJobSchema])
  .meta({ id: "Job" });

export type RunJob = z.infer<typeof runJobSchema>;
export type JudgeJob = z.infer<typeof judgeJobSchema>;
export type ShardJob = z.infer<typeof shardJobSchema>;
export type Job = RunJob | JudgeJob | ShardJob;

/** A job that was posted as one of kind `run`. Throws for what is none: whoever answered made a mistake. */
export function asRunJob(job: Job): RunJob {
  if (job.kind === "run") return job;
  throw new TypeError(`job ${job.id} is of kind ${job.kind}, not run`);
}

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
