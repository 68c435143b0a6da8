/**
 * What a job would do on this machine, as a program of its own: `longshore explain` starts it.
 *
 *   node worker/commands/explain.ts JOB.json     (- reads the job from stdin)
 *
 * The job is the body of a POST /v1/jobs. Its images have to be stored here; nothing is run.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Config, loadConfig } from "../../shared/config.ts";
import { LongshoreError } from "../../shared/errors.ts";
import { createJobRequestSchema, parseJobRequest, type RunRequest } from "../../shared/job-request.ts";
import { loadPresets, resolveRequest, SHIPPED_IMAGES } from "../../shared/presets.ts";
import { checkVolumes } from "../../shared/volumes.ts";
import { detectCgroups } from "../cgroup/detect.ts";
import { explainContainer, type ExplainedPlace } from "../container/explain-container.ts";
import { inspectHost } from "../container/runtime.ts";
import { chooseCores } from "../cores.ts";
import { ImageStore } from "../images/store.ts";
import { composeRun, type RunPlan } from "../jobs/compose.ts";
import { type OutlinedContainer, outlineJudge } from "../jobs/judge/outline.ts";
import { userOf } from "../jobs/process-settings.ts";
import { findImage } from "./images/find-image.ts";
import { asRunRequest } from "../jobs/shard/containers.ts";

/** Stands for the worker's own name, which it gets when it starts. */
const WORKER = "WORKER";

async function explain(file: string): Promise<string> {
  const config = loadConfig(process.env);
  const body: unknown = JSON.parse(readFileSync(file === "-" ? 0 : file, "utf8"));
  const containers = await outline(body, config);
  const place = placeOf(config);
  if (containers.length === 1) return containers.map(({ spec }) => explainContainer(spec, place)).join("");
  return containers.map(({ title, spec }) => `# ${title}\n${explainContainer(spec, place)}`).join("\n");
}

/** The containers of a job, in the order in which they would be made. */
async function outline(body: unknown, config: Config): Promise<readonly OutlinedContainer[]> {
  const { dataDirectory, maxima, volumes } = config;
  const presets = loadPresets(SHIPPED_IMAGES);
  const request = resolveRequest(parseJobRequest(createJobRequestSchema(maxima), body), presets, maxima);
  const store = await ImageStore.open(join(dataDirectory, "images"));
  const compose = async (run: RunRequest): Promise<RunPlan> => {
    const preset = run.language === undefined ? undefined : presets.get(run.language);
    const image = await findImage(store, preset?.image ?? run.image ?? "");
    checkVolumes(run.volumes, volumes);
    // Nothing is fetched or unpacked to be explained.
    const inputs = run.layers.map(({ blob, at }) => `${blob} at ${at}`);
    return composeRun(run, { image, inputs, preset, volumes, user: userOf(image) }, maxima);
  };
  switch (request.kind) {
    case "run": {
      const { build, run } = await compose(request);
      return [...(build === undefined ? [] : [{ title: "BUILD", spec: build }]), { title: "RUN", spec: run }];
    }
    case "judge":
      return await outlineJudge(request, compose, {
        build: (program) => join(dataDirectory, "builds", program.toUpperCase()),
        caseFiles: (index) => join(dataDirectory, "outputs", WORKER, "judge/cases", String(index)),
      });
    case "shard":
      return [{ title: "SHARD", spec: (await compose(asRunRequest(request))).run }];
    default:
      return request satisfies never;
  }
}

/** The first slot of a worker with this configuration. */
function placeOf({ dataDirectory, idBase, ...config }: Config): ExplainedPlace {
  const layout = detectCgroups();
  const choice = chooseCores({ ...config, layout });
  const [order] = choice.kind === "divided" ? choice.orders : [];
  const memoryNodes = choice.kind === "divided" ? choice.memoryNodes : "";
  const cores = order && { name: "slot-0", order, memoryNodes };
  return {
    dataDirectory,
    idBase,
    cgroups: { layout, worker: WORKER, ...(cores !== undefined && { cores }) },
    host: inspectHost(),
  };
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
