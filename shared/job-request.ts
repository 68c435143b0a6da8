/**
 * What a client asks for: the body of `POST /v1/jobs`.
 *
 * Every kind of job has a schema of its own, told apart by `kind`. Unknown fields are refused by name, so
 * that a misspelt limit is an answer and not a surprise.
 */
import * as z from "zod";
import { textSchema } from "./content.ts";
import type { Digest } from "./digest.ts";
import { LongshoreError } from "./errors.ts";
import { createJudgeRequestSchema, type JudgeRequest } from "./judge-request.ts";
import { createLimitsSchema, type Limits } from "./limits.ts";
import {
  checkArgumentBytes,
  checkKeepLayer,
  checkLayers,
  checkPaths,
  checkProgram,
  checkSearchPath,
  checkVolumePlaces,
  checkWorkingDirectory,
  requestBounds,
} from "./job-request-rules.ts";
import { absolutePathSchema, outputPatternSchema } from "./paths/schemas.ts";
import { argumentSchema, environmentSchema, imageSchema, layerSchema } from "./process-fields.ts";
import { contentSchema, fileSchema, priorities } from "./request-fields.ts";
import type { ShardPartRequest } from "./shard-part.ts";
import { createShardRequestSchema, type ShardRequest } from "./shard-request.ts";
import { issuesToDetails } from "./validation.ts";
import { volumeRequestSchema, VOLUMES_MAX } from "./volumes.ts";

/** For those who look for a switch: there is none, see SECURITY.md. */
const networkSchema = z
  .literal("none", {
    error: "is none for every job: bridge and host would give programs that nobody trusts a way out of the machine",
  })
  .meta({ description: "a loopback device and nothing else, for every job" });

function createRunRequestSchema(maxima: Limits) {
  return z
    .strictObject({
      kind: z
        .literal("run")
        .optional()
        .transform((kind) => kind ?? "run"),
      language: textSchema
        .min(1)
        .max(64)
        .optional()
        .meta({ description: "preset with image, file name, build and run command; or give an image" }),
      image: imageSchema.optional().meta({
        description:
          "reference of an image, or its short name; its User, Env, Entrypoint, Cmd and WorkingDir are honoured",
        examples: ["python", "docker.io/library/alpine:3.22"],
      }),
      command: z
        .array(argumentSchema)
        .min(1)
        .max(requestBounds.arguments)
        .refine((words) => words[0] !== "", { error: "starts with an empty word" })
        .optional()
        .meta({
          description: "argv of the program, only with image; when not given, the image's Entrypoint and Cmd",
          examples: [["python3", "main.py"]],
        }),
      source: textSchema.optional().meta({ description: "contents of the preset's main file; only with language" }),
      files: z.array(fileSchema).max(requestBounds.files).default([]),
      layers: z
        .array(layerSchema)
        .max(requestBounds.layers)
        .default([])
        .meta({ description: "blobs stacked over the image, lowest first" }),
      stdin: contentSchema.default(""),
      arguments: z
        .array(argumentSchema)
        .max(requestBounds.arguments)
        .default([])
        .meta({ description: "appended to the command; where it is the image's, in place of its Cmd" }),
      environment: environmentSchema.default({}),
      workingDirectory: absolutePathSchema.optional().meta({
        description: "made where it is missing; when not given, the image's WorkingDir, or /work if that is none or /",
      }),
      limits: createLimitsSchema(maxima).default({}),
      outputs: z.array(outputPatternSchema).max(requestBounds.outputs).default([]).meta({
        description: "files to return from the container, as paths or patterns",
      }),
      rootfs: z.enum(["writable", "readonly"]).default("writable"),
      keepLayer: z.boolean().default(false).meta({
        description: "keep what the job writes for a while, to be made an image on the worker's machine",
      }),
      volumes: z.array(volumeRequestSchema).max(VOLUMES_MAX).default([]).meta({
        description: "directories of the worker's machine, of those that the operator allows",
      }),
      network: networkSchema.optional(),
      priority: z.enum(priorities).default("normal"),
    })
    .superRefine(checkProgram)
    .superRefine(checkPaths)
    .superRefine(checkLayers)
    .superRefine(checkKeepLayer)
    .superRefine(checkWorkingDirectory)
    .superRefine(checkVolumePlaces)
    .superRefine(checkSearchPath)
    .superRefine(checkArgumentBytes)
    .meta({ id: "RunRequest", description: "one command executed in one container" });
}

/** Schema of a request on a server that grants limits up to `maxima`; its input side is the OpenAPI document's. */
export function createJobRequestSchema(maxima: Limits) {
  return z.discriminatedUnion("kind", [
    createRunRequestSchema(maxima),
    createJudgeRequestSchema(maxima),
    createShardRequestSchema(maxima),
  ]);
}

export type JobRequestSchema = ReturnType<typeof createJobRequestSchema>;

/** A request that has been checked; limits hold only what was asked for. `shared/presets.ts` fills them up. */
export type CheckedRequest = z.output<JobRequestSchema>;

/** A request of kind `run` that has been checked. */
export type CheckedRunRequest = Extract<CheckedRequest, { kind: "run" }>;

/** A request of kind `run` as a worker is handed it, with every limit set. */
export type RunRequest = Omit<CheckedRunRequest, "limits"> & { readonly limits: Limits };

/** What a job is: as {@link CheckedRequest}, with every limit set. */
export type JobRequest = RunRequest | JudgeRequest | ShardRequest;

/** What a worker is handed: a job, or a part of one. */
export type WorkerRequest = JobRequest | ShardPartRequest;

/** The blobs that a request names, and where. */
export function blobsOf(request: CheckedRequest): { readonly path: string; readonly blob: Digest }[] {
  switch (request.kind) {
    case "run":
    case "shard":
      return request.layers.map(({ blob }, index) => ({ path: `layers[${index}].blob`, blob }));
    case "judge":
      return request.cases.flatMap((judged, index) =>
        (["stdin", "expected"] as const).flatMap((field) => {
          const data = judged[field];
          if (typeof data === "string" || !("blob" in data)) return [];
          return [{ path: `cases[${index}].${field}.blob`, blob: data.blob }];
        }),
      );
    default:
      return request satisfies never;
  }
}

/** Checks the parsed body of a request. Throws `invalid_request` with every fault and its path. */
export function parseJobRequest(schema: JobRequestSchema, body: unknown): CheckedRequest {
  // zod leaves out a record's `__proto__` without a word; nothing that a client sends is left out without a word
  if (hasOwnPath(body, "environment", "__proto__")) {
    const details = [{ path: "environment.__proto__", message: "is not allowed as a name" }];
    throw new LongshoreError("invalid_request", { details });
  }
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  throw new LongshoreError("invalid_request", { details: issuesToDetails(parsed.error.issues) });
}

function hasOwnPath(value: unknown, ...path: readonly string[]): boolean {
  let current = value;
  for (const key of path) {
    if (typeof current !== "object" || current === null || !Object.hasOwn(current, key)) return false;
    current = Reflect.get(current, key);
  }
  return true;
}
