/**
 * Presets: what a language stands for. One JSON file each, beside the recipe of its image:
 * `infra/images/<name>/preset.json`.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { contentLength } from "./content.ts";
import { LongshoreError } from "./errors.ts";
import type { CheckedRequest, JobRequest } from "./job-request.ts";
import { createLimitsSchema, fromTable, limitTable, resolveLimits, type Limits } from "./limits.ts";
import { relativePathSchema } from "./paths/schemas.ts";

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
 * Fills a checked request up with its preset's limits and the defaults, and checks what only the preset knows.
 * Throws `invalid_request`: unknown language, main file given twice or not at all.
 */
export function resolveRequest(request: CheckedRequest, presets: Presets, maxima: Limits): JobRequest {
  if (request.language === undefined) return fitting({ ...request, limits: resolveLimits(maxima, request.limits) });
  const preset = presets.get(request.language);
  if (preset === undefined) {
    throw invalid("language", `is not known: choose one of ${[...presets.keys()].join(", ")}`);
  }
  const mainFile = request.files.findIndex(({ path }) => path === preset.fileName);
  if (request.source === undefined && mainFile < 0) {
    throw invalid("source", `is missing: give it, or ${preset.fileName} in files`);
  }
  if (request.source !== undefined && mainFile >= 0) {
    throw invalid(`files[${mainFile}].path`, `is where source is put: give only one of them`);
  }
  const below = request.files.findIndex(({ path }) => path.startsWith(`${preset.fileName}/`));
  if (below >= 0) throw invalid(`files[${below}].path`, `lies below ${preset.fileName}, which is a file`);
  return fitting({ ...request, limits: resolveLimits(maxima, request.limits, preset.limits) });
}

/** A tmpfs counts whole pages. */
const PAGE_BYTES = 4096;

/** The files that a job brings must fit the file system that they are written to. */
function fitting(request: JobRequest): JobRequest {
  const contents = [...request.files, ...(request.source === undefined ? [] : [request.source])];
  const pages = contents.map((content) => Math.ceil(contentLength(content) / PAGE_BYTES) + 1);
  const bytes = pages.reduce((sum, count) => sum + count, 0) * PAGE_BYTES;
  if (bytes <= request.limits.diskBytes) return request;
  throw invalid("limits.diskBytes", `is ${request.limits.diskBytes}, but the job's files take ${bytes} bytes`);
}

function invalid(path: string, message: string): LongshoreError {
  return new LongshoreError("invalid_request", { details: [{ path, message }] });
}
