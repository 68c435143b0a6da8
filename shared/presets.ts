/**
 * Presets: what a language stands for. One JSON file each, beside the recipe of its image:
 * `infra/images/<name>/preset.json`.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { contentLength } from "./content.ts";
import { LongshoreError } from "./errors.ts";
import type { CheckedRequest, CheckedRunRequest, JobRequest, RunRequest } from "./job-request.ts";
import {
  type CheckedJudgeRequest,
  judgeDefaults,
  judgeMaxima,
  type JudgeCase,
  type JudgeProgram,
  type JudgeRequest,
} from "./judge-request.ts";
import { createLimitsSchema, fromTable, limitTable, resolveLimits, type Limits } from "./limits.ts";
import { relativePathSchema } from "./paths/schemas.ts";
import { shardDefaults, shardMaxima } from "./shard-request.ts";

/** Where the folders of the images are that Longshore comes with, and their presets. */
export const SHIPPED_IMAGES = join(import.meta.dirname, "../infra/images");

const commandSchema = z.array(z.string().min(1)).min(1);

/** A preset's own limits are defaults only: the server's maxima cut them, see `resolveLimits`. */
const presetLimitsSchema = createLimitsSchema(fromTable((name) => limitTable[name].ceiling)).default({});

export const presetSchema = z
  .strictObject({
    language: z.string().regex(/^[a-z][a-z0-9+#.-]{0,63}$/),
    image: z.string().min(1),
    fileName: relativePathSchema.meta({ description: "where a request's source is put" }),
    build: z.strictObject({ command: commandSchema, limits: presetLimitsSchema }).optional(),
    run: commandSchema.meta({ description: "a request's arguments are appended" }),
    version: commandSchema.meta({ description: "prints the version of compiler or interpreter" }),
    limits: presetLimitsSchema,
  })
  .meta({ id: "Preset" });

export type Preset = z.infer<typeof presetSchema>;

/** Presets by language. */
export type Presets = ReadonlyMap<string, Preset>;

/**
 * Reads every preset below a directory of images. Throws when a file is malformed, naming the file and the
 * field, or when two of them have the same language.
 */
export function loadPresets(imagesDirectory: string): Presets {
  const presets = new Map<string, Preset>();
  for (const name of readdirSync(imagesDirectory).toSorted()) {
    const file = join(imagesDirectory, name, "preset.json");
    if (!existsSync(file)) continue;
    const preset = readPreset(file);
    if (presets.has(preset.language)) throw new Error(`${file}: language ${preset.language} has a preset already`);
    presets.set(preset.language, preset);
  }
  return presets;
}

function readPreset(file: string): Preset {
  const parsed = presetSchema.safeParse(JSON.parse(readFileSync(file, "utf8")));
  if (parsed.success) return parsed.data;
  throw new Error(`${file} is no preset:\n${z.prettifyError(parsed.error)}`);
}

/**
 * Fills a checked request up with its presets' limits and the defaults, and checks what only the presets know.
 * Throws `invalid_request`: unknown language, main file given twice or not at all.
 */
export function resolveRequest(request: CheckedRequest, presets: Presets, maxima: Limits): JobRequest {
  switch (request.kind) {
    case "run":
      return resolveRunRequest(request, presets, maxima);
    case "judge":
      return resolveJudgeRequest(request, presets, maxima);
    case "shard": {
      const limits = resolveLimits(shardMaxima(maxima), request.limits, shardDefaults);
      insistOnRoom({ ...request, limits });
      return { ...request, limits, owner: "" };
    }
    default:
      return request satisfies never;
  }
}

function resolveRunRequest(request: CheckedRunRequest, presets: Presets, maxima: Limits): RunRequest {
  const { language } = request;
  const preset = language === undefined ? undefined : findPreset({ ...request, language }, presets);
  const resolved = { ...request, limits: resolveLimits(maxima, request.limits, preset?.limits) };
  insistOnRoom(resolved);
  return resolved;
}

function resolveJudgeRequest(request: CheckedJudgeRequest, presets: Presets, maxima: Limits): JudgeRequest {
  const resolveProgram = (path: string, program: NonNullable<typeof request.interactor>): JudgeProgram => {
    const { limits } = findPreset(program, presets, path);
    const resolved = { ...program, limits: resolveLimits(maxima, program.limits, limits) };
    insistOnRoom(resolved, path);
    return resolved;
  };
  const preset = findPreset(request, presets);
  const largest = judgeMaxima(maxima);
  const defaults = judgeDefaults(preset.limits);
  const cases = request.cases.map((judged): JudgeCase => {
    const limits = resolveLimits(largest, { ...request.limits, ...judged.limits }, defaults);
    return { ...judged, limits };
  });
  const limits = resolveLimits(largest, request.limits, defaults);
  for (const judged of [{ limits }, ...cases]) insistOnRoom({ ...request, limits: judged.limits });
  const { checker = { type: "tokens" }, interactor, ...rest } = request;
  return {
    ...rest,
    limits,
    cases,
    checker: checker.type === "program" ? { ...resolveProgram("checker.", checker), type: checker.type } : checker,
    ...(interactor !== undefined && { interactor: resolveProgram("interactor.", interactor) }),
  };
}

interface Sources {
  readonly source?: string | undefined;
  readonly files: readonly { readonly path: string; readonly content: string; readonly encoding: "utf8" | "base64" }[];
}

/** The preset of a program that has what it needs. @param path where the program stands in the request, and a dot */
function findPreset(program: Sources & { readonly language: string }, presets: Presets, path = ""): Preset {
  const preset = presets.get(program.language);
  if (preset === undefined) {
    throw invalid(`${path}language`, `is not known: choose one of ${[...presets.keys()].join(", ")}`);
  }
  const mainFile = program.files.findIndex((file) => file.path === preset.fileName);
  if (program.source === undefined && mainFile < 0) {
    throw invalid(`${path}source`, `is missing: give it, or ${preset.fileName} in files`);
  }
  if (program.source !== undefined && mainFile >= 0) {
    throw invalid(`${path}files[${mainFile}].path`, `is where source is put: give only one of them`);
  }
  const below = program.files.findIndex((file) => file.path.startsWith(`${preset.fileName}/`));
  if (below >= 0) throw invalid(`${path}files[${below}].path`, `lies below ${preset.fileName}, which is a file`);
  return preset;
}

/** A tmpfs counts whole pages. */
const PAGE_BYTES = 4096;

/** The files that a job brings must fit the file system that they are written to. */
function insistOnRoom(request: Sources & { readonly limits: Limits }, path = ""): void {
  const contents = [...request.files, ...(request.source === undefined ? [] : [request.source])];
  const pages = contents.map((content) => Math.ceil(contentLength(content) / PAGE_BYTES) + 1);
  const bytes = pages.reduce((sum, count) => sum + count, 0) * PAGE_BYTES;
  if (bytes <= request.limits.diskBytes) return;
  throw invalid(`${path}limits.diskBytes`, `is ${request.limits.diskBytes}, but the job's files take ${bytes} bytes`);
}

function invalid(path: string, message: string): LongshoreError {
  return new LongshoreError("invalid_request", { details: [{ path, message }] });
}
