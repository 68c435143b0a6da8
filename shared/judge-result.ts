/** What came of a job of kind `judge`. */
import * as z from "zod";
import { buildResultSchema, outputSchema } from "./job-result.ts";

/** What is said of a case, of a group, and of the whole. */
export const verdicts = [
  "accepted",
  "wrong_answer",
  "presentation_error",
  "partially_correct",
  "cpu_limit",
  "wall_limit",
  "memory_limit",
  "output_limit",
  "runtime_error",
  "compile_error",
  "checker_error",
  "skipped",
] as const;
export type Verdict = (typeof verdicts)[number];

const verdictSchema = z.enum(verdicts);
const milliseconds = z.number().min(0);
const count = z.int().min(0);
const points = z.number().min(0);

const judgeUsageSchema = z
  .strictObject({
    cpuTimeMs: milliseconds,
    wallTimeMs: milliseconds,
    memoryPeakBytes: count,
  })
  .meta({ id: "JudgeUsage" });

const caseResultSchema = z
  .strictObject({
    name: z.string(),
    group: z.string().nullable(),
    verdict: verdictSchema,
    points,
    pointsMax: points,
    message: z.string().meta({ description: "what the checker or the interactor said, or why the program failed" }),
    exitCode: z.int().min(0).max(255).nullable(),
    signal: z.string().nullable().meta({ description: "name of the signal that ended the submission" }),
    usage: judgeUsageSchema.meta({
      description: "of the submission: the least time of all runs, and the most memory; where one failed, its own",
    }),
    runs: count.meta({ description: "how often it was run" }),
    spread: z
      .strictObject({ cpuTimeMs: milliseconds, wallTimeMs: milliseconds })
      .meta({ description: "between the fastest and the slowest run" }),
    stdout: outputSchema.meta({ description: "the first KiB" }),
    stderr: outputSchema.meta({ description: "the first KiB" }),
  })
  .meta({ id: "JudgeCaseResult" });

const groupResultSchema = z
  .strictObject({ name: z.string(), verdict: verdictSchema, points, pointsMax: points })
  .meta({ id: "JudgeGroupResult" });

const judgeBuildSchema = buildResultSchema
  .extend({ cached: z.boolean().meta({ description: "it was not built again: this is what came of it then" }) })
  .meta({ id: "JudgeBuild" });

export const judgeResultSchema = z
  .strictObject({
    verdict: verdictSchema.meta({
      description: "checker_error where there is one, else that of the first case that is not accepted",
    }),
    message: z.string().meta({ description: "of the case that gave the verdict" }),
    points,
    pointsMax: points,
    usage: judgeUsageSchema.meta({ description: "of the slowest case, and of the largest" }),
    cases: z.array(caseResultSchema).meta({ description: "in the order of the request" }),
    groups: z.array(groupResultSchema).meta({ description: "in the order of their first cases" }),
    builds: z
      .strictObject({
        submission: judgeBuildSchema.nullable(),
        checker: judgeBuildSchema.nullable(),
        interactor: judgeBuildSchema.nullable(),
      })
      .meta({ description: "null for languages that do not compile, and for programs that are not there" }),
    timings: z.strictObject({
      queuedMs: milliseconds,
      pullMs: milliseconds,
      buildMs: milliseconds.meta({ description: "until all programs could be run" }),
      casesMs: milliseconds.meta({ description: "from the first case's start to the last one's end" }),
    }),
    image: z.string().meta({ description: "digest of the submission's image", examples: ["sha256:…"] }),
    worker: z.string(),
  })
  .meta({ id: "JudgeResult" });

/** Data of the event `case`: what became of one of them. */
export const caseEventSchema = caseResultSchema
  .pick({ name: true, group: true, verdict: true, points: true, pointsMax: true, message: true })
  .extend(judgeUsageSchema.shape)
  .meta({ id: "CaseEvent", description: "data of the event `case`, told in the order of the request" });

export type CaseEvent = z.infer<typeof caseEventSchema>;
export type JudgeUsage = z.infer<typeof judgeUsageSchema>;
export type JudgeCaseResult = z.infer<typeof caseResultSchema>;
export type JudgeGroupResult = z.infer<typeof groupResultSchema>;
export type JudgeBuild = z.infer<typeof judgeBuildSchema>;
export type JudgeResult = z.infer<typeof judgeResultSchema>;
