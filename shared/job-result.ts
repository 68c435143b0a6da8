/** What came of a job: the `result` of a finished one. */
import * as z from "zod";

/**
 * How a run ended. All but `build_failed` are the container's own words for it; `build_failed` stands in a job's
 * result when the build of a preset did not exit with 0, so that the program was never run: see `build`.
 */
export const outcomes = [
  "exited",
  "signaled",
  "cpu_limit",
  "wall_limit",
  "memory_limit",
  "output_limit",
  "disk_limit",
  "process_limit",
] as const;

const milliseconds = z.number().min(0);
const count = z.int().min(0);

export const outputSchema = z
  .strictObject({
    content: z.string(),
    encoding: z
      .enum(["utf8", "base64"])
      .meta({ description: "base64 when the bytes are no valid UTF-8, or long and mostly control characters" }),
    bytes: count.meta({ description: "bytes kept: the length of the decoded content" }),
    truncated: z.boolean().meta({ description: "more was written than is kept" }),
  })
  .meta({ id: "Output", description: "what was written to stdout or stderr" });

export const outputFileSchema = z
  .union([
    z.strictObject({ path: z.string(), bytes: count, sha256: z.string().length(64) }),
    z.strictObject({ path: z.string(), error: z.string() }),
  ])
  .meta({ id: "OutputFile", description: "a file that the job returned, or why it could not be returned" });

const usageSchema = z
  .strictObject({
    cpuTimeMs: milliseconds,
    userTimeMs: milliseconds,
    systemTimeMs: milliseconds,
    wallTimeMs: milliseconds,
    memoryPeakBytes: count.meta({
      description:
        "peak of the container's cgroup: memory and tmpfs, without the cache of files that is left at the end",
    }),
    maxRssBytes: count.meta({ description: "resident set of the largest single process" }),
    processesPeak: count.nullable().meta({ description: "null where the kernel does not count it" }),
  })
  .meta({ id: "Usage" });

const timings = { prepareMs: milliseconds, runMs: milliseconds, collectMs: milliseconds };

/** What builds and runs have in common. */
const runFields = {
  exitCode: z.int().min(0).max(255).nullable().meta({ description: "null unless the command exited by itself" }),
  signal: z.string().nullable().meta({ description: "name of the signal that ended the command, e.g. SIGSEGV" }),
  stdout: outputSchema,
  stderr: outputSchema,
  outputs: z.array(outputFileSchema),
  usage: usageSchema,
};

const keptLayerSchema = z
  .union([
    z.strictObject({
      layers: z
        .array(z.strictObject({ digest: z.string(), bytes: count }))
        .meta({ description: "lowest first: what a build wrote, and the run; none where nothing was written" }),
      expiresAt: z.iso.datetime(),
    }),
    z.strictObject({ error: z.string() }),
  ])
  .meta({
    id: "KeptLayer",
    description:
      "what the job wrote, kept on the machine of `worker`: longshore images commit JOB NAME makes it an image",
  });

/** The build of a preset that compiles. */
export const buildResultSchema = z
  .strictObject({ outcome: z.enum(outcomes), ...runFields, timings: z.strictObject(timings) })
  .meta({ id: "BuildResult" });

/** The result of a job of kind `run`. */
export const jobResultSchema = z
  .strictObject({
    outcome: z.enum([...outcomes, "build_failed"]),
    ...runFields,
    build: buildResultSchema.nullable().meta({ description: "null for presets that do not compile" }),
    timings: z.strictObject({
      queuedMs: milliseconds,
      pullMs: milliseconds.meta({ description: "what it took to pull the image; 0 when it was there" }),
      ...timings,
    }),
    image: z.string().meta({ description: "digest of the image that ran", examples: ["sha256:…"] }),
    worker: z.string(),
    keptLayer: keptLayerSchema
      .optional()
      .meta({ description: "where the job asked for keepLayer and its program ran" }),
  })
  .meta({ id: "JobResult" });

export type OutputFileEntry = z.infer<typeof outputFileSchema>;
export type UsageEntry = z.infer<typeof usageSchema>;
export type KeptLayer = z.infer<typeof keptLayerSchema>;
export type BuildResult = z.infer<typeof buildResultSchema>;
export type JobResult = z.infer<typeof jobResultSchema>;
