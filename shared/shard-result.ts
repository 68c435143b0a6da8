/** What came of a job of kind `shard`, and what is told of its shards while they run. */
import * as z from "zod";
import { errorCodes } from "./errors.ts";
import { buildResultSchema, outcomes, outputFileSchema, outputSchema } from "./job-result.ts";
import { shardStrategies } from "./shard-request.ts";

const milliseconds = z.number().min(0);
const count = z.int().min(0);
const shardNumber = z.int().min(1).meta({ description: "number of the shard, from 1" });

/** What is said of all tests together. A flaky test has passed; a lost item is none of the tests. */
const countsSchema = z
  .strictObject({
    tests: count.meta({ description: "each counted once, however often it ran" }),
    passed: count,
    failed: count.meta({ description: "an assertion did not hold" }),
    errored: count.meta({ description: "it broke otherwise, e.g. before it began" }),
    skipped: count,
    flaky: count.meta({ description: "of those passed, how many failed before" }),
    lost: count.meta({ description: "items of which no report has a test" }),
  })
  .meta({ id: "TestCounts" });

/** What names a test in every list of a result. */
const identity = {
  id: z.string().meta({
    description:
      "file, class or suite, and name, as far as the report has them: the same for the same test in all reports",
  }),
  suite: z.string(),
  classname: z.string(),
  name: z.string(),
  file: z.string().nullable(),
  timeMs: milliseconds.nullable(),
  shard: shardNumber,
};

const failedTestSchema = z
  .strictObject({
    ...identity,
    outcome: z.enum(["failed", "errored"]),
    runs: count.meta({ description: "how often it ran" }),
    message: z.string(),
    details: z.string().meta({ description: "the trace, its beginning where it is long" }),
    stdout: z.string(),
    stderr: z.string(),
  })
  .meta({ id: "FailedTest" });

const flakyTestSchema = z
  .strictObject({ ...identity, runs: count, message: z.string().meta({ description: "of its last failure" }) })
  .meta({ id: "FlakyTest" });

const slowTestSchema = z.strictObject({ ...identity, timeMs: milliseconds }).meta({ id: "SlowTest" });

/** Why no report has an item. */
export const lossReasons = ["not_reported", "no_report", "not_run", "shard_failed"] as const;
export type LossReason = (typeof lossReasons)[number];

const lostItemSchema = z
  .strictObject({
    item: z.string(),
    shard: shardNumber.nullable().meta({ description: "null where none has taken it" }),
    reason: z.enum(lossReasons).meta({
      description:
        "not_reported: there is a report, without it; no_report: there is no report that can be read; not_run: its shard " +
        "was stopped before; shard_failed: by our own account, see its error",
    }),
  })
  .meta({ id: "LostItem" });

const shardRunSchema = z
  .strictObject({
    outcome: z.enum(outcomes),
    exitCode: z.int().min(0).max(255).nullable(),
    signal: z.string().nullable(),
    purpose: z.enum(["first", "retry"]),
    items: count,
    tests: count,
    wallTimeMs: milliseconds,
    cpuTimeMs: milliseconds,
    memoryPeakBytes: count,
    fault: z.string().nullable().meta({ description: "what is wrong with its report; null where it could be read" }),
  })
  .meta({ id: "ShardRun", description: "one command of a shard, in a container of its own" });

const shardReportSchema = z
  .strictObject({
    shard: shardNumber,
    state: z.enum(["done", "failed", "canceled"]).meta({
      description: "done: its commands ran, whatever they did; failed: by our own account; canceled: by failFast",
    }),
    attempt: count.meta({ description: "how often a worker has started it" }),
    worker: z.string().nullable(),
    items: count,
    counts: countsSchema,
    wallTimeMs: milliseconds.meta({ description: "of its commands together" }),
    expectedMs: milliseconds.nullable().meta({ description: "from what is remembered; null where nothing is" }),
    runs: z.array(shardRunSchema).meta({ description: "the first hundred" }),
    stdout: outputSchema.meta({ description: "its end, of the first command that failed, else of the last one" }),
    stderr: outputSchema.meta({ description: "its beginning, of the same command" }),
    outputs: z.array(outputFileSchema).meta({ description: "by the paths with which they are to be downloaded" }),
    error: z.strictObject({ code: z.enum(errorCodes), message: z.string() }).nullable(),
  })
  .meta({ id: "ShardReport" });

const discoverySchema = buildResultSchema
  .extend({ ignoredLines: count.meta({ description: "lines behind the first empty one, which are no items" }) })
  .meta({ id: "Discovery" });

export const shardOutcomes = ["passed", "failed", "no_items", "setup_failed", "discovery_failed"] as const;

export const shardResultSchema = z
  .strictObject({
    outcome: z.enum(shardOutcomes).meta({
      description:
        "passed: every item is in a report, no test failed in the end, and every command exited with 0, or what failed in " +
        "it passed when it was run again",
    }),
    message: z.string().meta({ description: "why it is not passed, in a sentence" }),
    counts: countsSchema,
    failures: z.array(failedTestSchema).meta({ description: "the first 200; all are in report.xml" }),
    flaky: z.array(flakyTestSchema).meta({ description: "the first 200" }),
    lost: z.array(lostItemSchema).meta({ description: "the first 1000" }),
    slowest: z.array(slowTestSchema).meta({ description: "the slowest ten" }),
    shards: z.array(shardReportSchema),
    evenness: z.number().min(1).nullable().meta({
      description: "time of the slowest shard, divided by the mean: 1 is even; null where none ran",
    }),
    strategy: z.enum(shardStrategies),
    setup: buildResultSchema
      .extend({ cached: z.boolean().meta({ description: "it was not run again: this is what came of it then" }) })
      .nullable()
      .meta({ description: "null where there is none" }),
    discovery: discoverySchema.nullable().meta({ description: "null where there is none" }),
    report: z
      .union([
        z.strictObject({ bytes: count, sha256: z.string().length(64) }),
        z.strictObject({ error: z.string().meta({ description: "why it could not be stored" }) }),
      ])
      .nullable()
      .meta({ description: "GET /v1/jobs/{id}/report.xml has it; null where no shard ran" }),
    timings: z.strictObject({
      queuedMs: milliseconds,
      pullMs: milliseconds,
      setupMs: milliseconds,
      discoverMs: milliseconds,
      shardsMs: milliseconds.meta({
        description: "from when the shards were put into the queue to the end of the last",
      }),
      mergeMs: milliseconds,
    }),
    image: z.string().meta({ description: "digest of the image", examples: ["sha256:…"] }),
    worker: z.string().meta({ description: "the one that set up and merged" }),
  })
  .meta({ id: "ShardResult" });

/** Data of the event `shard`: how one of them stands. */
export const shardEventSchema = z
  .strictObject({
    shard: shardNumber,
    shards: z.int().min(1).meta({ description: "how many there are" }),
    state: z.enum(["queued", "running", "done", "failed", "canceled"]),
    attempt: count.meta({
      description: "when it grows, its worker was lost, and what was said of it counts for nothing",
    }),
    worker: z.string().nullable(),
    items: count.meta({ description: "those that are done" }),
    itemsTotal: count.nullable().meta({ description: "those that it has; null where it takes what is left" }),
    counts: countsSchema.meta({ description: "of what is done" }),
    wallTimeMs: milliseconds.meta({ description: "of its commands so far" }),
  })
  .meta({ id: "ShardEvent", description: "data of the event `shard`" });

/** What comes before the shards, in this order. */
export const shardPhases = ["setup", "discover"] as const;

/** Data of the event `phase`: how far a job is that has no shards yet. */
export const phaseEventSchema = z
  .strictObject({
    phase: z.enum(shardPhases),
    state: z.enum(["running", "done", "failed"]),
    worker: z.string(),
    cached: z.boolean().meta({ description: "it was not run again: what came of it before is taken" }),
    items: count.nullable().meta({ description: "those that were discovered" }),
    wallTimeMs: milliseconds,
  })
  .meta({ id: "PhaseEvent", description: "data of the event `phase`" });

export type TestCounts = z.infer<typeof countsSchema>;
export type FailedTest = z.infer<typeof failedTestSchema>;
export type FlakyTest = z.infer<typeof flakyTestSchema>;
export type SlowTest = z.infer<typeof slowTestSchema>;
export type LostItem = z.infer<typeof lostItemSchema>;
export type ShardRun = z.infer<typeof shardRunSchema>;
export type ShardReport = z.infer<typeof shardReportSchema>;
export type ShardResult = z.infer<typeof shardResultSchema>;
export type ShardEvent = z.infer<typeof shardEventSchema>;
export type PhaseEvent = z.infer<typeof phaseEventSchema>;
export type Discovery = z.infer<typeof discoverySchema>;
