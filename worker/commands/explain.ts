/**
 * What a job would do on this machine, as a program of its own: `longshore explain` starts it.
 *
 *   node worker/commands/explain.ts JOB.json     (- reads the job from stdin)
 *
 * The job is the body of a POST /v1/jobs. Its image has to be stored here; nothing is run.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { loadConfig } from "../../shared/config.ts";
import { LongshoreError } from "../../shared/errors.ts";
import { createJobRequestSchema, parseJobRequest } from "../../shared/job-request.ts";
import { loadPresets, resolveRequest } from "../../shared/presets.ts";
import { checkVolumes } from "../../shared/volumes.ts";
import { detectCgroups } from "../cgroup/detect.ts";
import { explainContainer, type ExplainedPlace } from "../container/explain-container.ts";
import { inspectHost } from "../container/runtime.ts";
import { SHIPPED_IMAGES } from "../images/shipped.ts";
import { ImageStore } from "../images/store.ts";
import { composeRun } from "../jobs/compose.ts";
import { userOf } from "../jobs/process-settings.ts";
import { findImage } from "./images/find-image.ts";

async function explain(file: string): Promise<string> {
  const config = loadConfig(process.env);
  const presets = loadPresets(SHIPPED_IMAGES);
  const body: unknown = JSON.parse(readFileSync(file === "-" ? 0 : file, "utf8"));
  const request = resolveRequest(parseJobRequest(createJobRequestSchema(config.maxima), body), presets, config.maxima);
  if (request.kind !== "run")
    throw new Error(`a job of kind ${request.kind} is many containers: explain one of kind run`);
  const preset = request.language === undefined ? undefined : presets.get(request.language);
  const reference = preset?.image ?? request.image ?? "";
  const image = await findImage(await ImageStore.open(join(config.dataDirectory, "images")), reference);

  const { volumes } = config;
  checkVolumes(request.volumes, volumes);
  const place: ExplainedPlace = {
    dataDirectory: config.dataDirectory,
    idBase: config.idBase,
    cgroups: { layout: detectCgroups(), worker: "WORKER" },
    host: inspectHost(),
  };
  // Nothing is fetched or unpacked to be explained.
  const inputs = request.layers.map(({ blob, at }) => `${blob} at ${at}`);
  const { build, run } = composeRun(request, { image, inputs, preset, volumes, user: userOf(image) }, config.maxima);
  if (build === undefined) return explainContainer(run, place);
  return `# BUILD\n${explainContainer(build, place)}\n# RUN\n${explainContainer(run, place)}`;
}

/** What is wrong, with a line for each field at fault. */
function describe(error: unknown): string {
  if (error instanceof LongshoreError && error.details !== undefined) {
    return [error.message, ...error.details.map(({ path, message }) => `  ${path} ${message}`)].join("\n");
  }
  return error instanceof Error ? error.message : String(error);
}

try {
  const [file] = process.argv.slice(2);
  if (file === undefined) throw new Error("usage: longshore explain JOB.json");
  process.stdout.write(await explain(file));
} catch (error) {
  console.error(describe(error));
  process.exitCode = 1;
}
