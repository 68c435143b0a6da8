/**
 * A job of kind `shard`: the tests of a suite are run by several shards at once, wherever a worker is free, and what
 * they report is merged.
 *
 *   setup ──▶ discover | items ──▶ split ─┬─▶ shard 1: command ─▶ report ─┐
 *   (once)                                ├─▶ shard 2: command ─▶ report ─┼─▶ merge
 *                                         └─▶ …                           ┘
 */
import * as z from "zod";
import { createLimitsSchema, type Limits, type PartialLimits } from "./limits.ts";
import { argumentSchema, environmentSchema, imageSchema, layerSchema } from "./process-fields.ts";
import { requestBounds } from "./job-request-rules.ts";
import { absolutePathSchema } from "./paths/schemas.ts";
import { fileSchema, priorities } from "./request-fields.ts";
import { filePatternSchema } from "./shard-patterns.ts";
import { checkShard, shardBounds } from "./shard-request-rules.ts";

/** Becomes the items of a command, one argument each, where it is a word by itself. */
export const ITEMS = "{items}";

/** Path of the merged report among the files of a finished job. */
export const REPORT_PATH = "report.xml";

/** Where a shard finds a directory of its own for reports, which is its user's. */
export const REPORT_DIRECTORY = "/out";

/** How items are divided. */
export const shardStrategies = ["time", "round-robin", "dynamic"] as const;
export type ShardStrategy = (typeof shardStrategies)[number];

const MiB = 1024 * 1024;

/** A suite takes longer than a program, and has more to say; its output goes to the worker's disk. Maxima cut these. */
export const shardDefaults: PartialLimits = {
  cpuTimeMs: 600_000,
  wallTimeMs: 600_000,
  memoryBytes: 1024 * MiB,
  processes: 256,
  outputBytes: 64 * MiB,
  diskBytes: 512 * MiB,
  openFiles: 1024,
};

/** The largest limits of a shard. As with a judge, what it prints need not fit a result. */
export function shardMaxima(maxima: Limits): Limits {
  return { ...maxima, outputBytes: Math.max(maxima.outputBytes, maxima.fileBytes) };
}

const commandSchema = z
  .array(argumentSchema)
  .min(1)
  .max(requestBounds.arguments)
  .refine((words) => words[0] !== "", { error: "starts with an empty word" });

/** Never by a shell, so anything goes but what could not be told apart: it is one line of a list. */
const itemSchema = argumentSchema
  .min(1)
  .max(shardBounds.itemCharacters)
  .refine((item) => !/[\r\n]/.test(item), { error: "is more than one line" });

export function createShardRequestSchema(maxima: Limits) {
  return z
    .strictObject({
      kind: z.literal("shard"),
      image: imageSchema,
      layers: z.array(layerSchema).max(requestBounds.layers).default([]).meta({
        description: "blobs stacked over the image, lowest first: the checkout, and what it needs",
      }),
      files: z.array(fileSchema).max(requestBounds.files).default([]),
      environment: environmentSchema.default({}),
      workingDirectory: absolutePathSchema.optional().meta({
        description: "made where it is missing; when not given, the image's WorkingDir, or /work if that is none or /",
      }),
      setup: commandSchema.optional().meta({
        description:
          "run once, before everything else; what it writes is a layer that discover and all shards have, kept by image, " +
          "layers and command for the next time",
        examples: [["pip", "install", "--no-index", "--find-links=wheels", "-r", "requirements.txt"]],
      }),
      discover: commandSchema.optional().meta({
        description:
          "prints the items, one a line: lines up to the first empty one count, what is behind it is a tool's summary",
        examples: [["pytest", "--collect-only", "-q"]],
      }),
      items: z
        .array(itemSchema)
        .max(shardBounds.items)
        .optional()
        .meta({
          description:
            "what the command runs: files, or tests by id; in place of discover. Without both, the command splits by " +
            "itself, by {shard} and {shards}",
        }),
      command: commandSchema.meta({
        description:
          "argv of a shard. A word {items} becomes its items, an argument each, never through a shell; {shard} and " +
          "{shards} in a word become its number, from 1, and how many there are. More items than fit in a command line " +
          "are run by several commands",
        examples: [["pytest", "--junitxml=/out/junit.xml", ITEMS]],
      }),
      shards: z
        .int()
        .min(1)
        .max(shardBounds.shards)
        .default(4)
        .meta({ description: "no more are run than there are items" }),
      strategy: z
        .enum(shardStrategies)
        .default("time")
        .meta({
          description:
            "time: by what items took before, longest first into the emptiest shard, unknown ones at the median; " +
            "round-robin: in turn; dynamic: each shard takes the next few items until none is left",
        }),
      suite: argumentSchema.min(1).max(shardBounds.suiteCharacters).optional().meta({
        description: "name under which it is remembered how long items take, among those of the same key",
      }),
      report: z.literal("junit").default("junit").meta({ description: "form of the shards' reports" }),
      reportFiles: z
        .array(filePatternSchema)
        .min(1)
        .max(requestBounds.outputs)
        .default([`${REPORT_DIRECTORY}/*.xml`])
        .meta({ description: `where the command leaves its reports; ${REPORT_DIRECTORY} is there for them` }),
      retryFailed: z.int().min(0).max(shardBounds.retries).default(0).meta({
        description:
          "how often what failed, or is missing in the report, is run again in its shard; a test that passes then is flaky",
      }),
      failFast: z.boolean().default(false).meta({ description: "stops all shards as soon as one has a failure" }),
      limits: createLimitsSchema(shardMaxima(maxima)).default({}).meta({ description: "of each container" }),
      outputs: z.array(filePatternSchema).max(requestBounds.outputs).default([]).meta({
        description:
          "files to return from each shard: shard-1/PATH and so on, shard-1/run-2/PATH of its second command",
      }),
      priority: z.enum(priorities).default("normal"),
    })
    .superRefine(checkShard)
    .meta({ id: "ShardRequest", description: "a test suite split over many containers" });
}

/** A request that has been checked; its limits hold only what was asked for. */
export type CheckedShardRequest = z.output<ReturnType<typeof createShardRequestSchema>>;

/** What a worker is handed, with every limit set. */
export type ShardRequest = Omit<CheckedShardRequest, "limits"> & {
  readonly limits: Limits;
  /** Who has posted it: suites of the same name are told apart by it. */
  readonly owner: string;
};
