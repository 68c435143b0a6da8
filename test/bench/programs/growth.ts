/**
 * Whether a job takes longer the more there is of something: layers of its image, images on the worker's disk, jobs that
 * wait. One client sees all of it through HTTP.
 */
import { chmod, copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { connectRedis } from "../../../shared/redis.ts";
import { loadConfig } from "../../../shared/config.ts";
import { defaultMaxima } from "../../../shared/limits.ts";
import { createJobRequestSchema, parseJobRequest } from "../../../shared/job-request.ts";
import { JobStore } from "../../../shared/job-store.ts";
import { resolveRequest } from "../../../shared/presets.ts";
import { JobQueue } from "../../../shared/queue.ts";
import type { Priority } from "../../../shared/request-fields.ts";
import { Submitter } from "../../../shared/submit.ts";
import { hostArchitecture } from "../../../worker/images/oci.ts";
import { ImageStore } from "../../../worker/images/store.ts";
import type { BenchProgram, ProgramOptions } from "../bench-program.ts";
import { Client, startLongshore } from "../longshore.ts";
import { type Findings, tabulateStatistics } from "../report.ts";
import { interleave, type Subject } from "../rounds.ts";
import { summarize } from "../statistics.ts";
import type { Workbench } from "../workbench.ts";

const LAYERS = [1, 10, 60] as const;
const IMAGES = [10, 100, 1000] as const;
/** A slot that is never free waits for the measured job in both cases, or nothing could be compared. */
const WAITING = [100, 100_000] as const;

const names = {
  layers: LAYERS.map((count) => `layers-${count}`),
  images: IMAGES.map((count) => `images-${count}`),
  waiting: WAITING.map((count) => `waiting-${count}`),
};

/** `npm run bench -- growth` */
export const growth: BenchProgram = {
  name: "growth",
  title: "Latency against the number of layers, images and waiting jobs",
  summary: "latency of a job with more and more layers, images on the disk, and jobs that wait",
  subjects: Object.values(names).flat(),
  rounds: { count: 200, warmUp: 20 },
  run,
};

async function run(bench: Workbench, options: ProgramOptions): Promise<Findings> {
  const samples = new Map<string, readonly number[]>();
  // One after the other: the workers of the last are never idle.
  for (const prepare of [prepareLayers, prepareImages, prepareWaiting]) {
    await using resources = new AsyncDisposableStack();
    const subjects = await prepare(bench, resources, (name) => options.only?.includes(name) ?? true);
    for (const [name, values] of await interleave(subjects, options)) samples.set(name, values);
  }
  const statistics = new Map([...samples].map(([name, values]) => [name, summarize(values)]));
  const against = Object.values(names).flatMap(([first = "", ...others]) => {
    const least = statistics.get(first)?.median;
    return others.flatMap((name) => {
      const median = statistics.get(name)?.median;
      if (least === undefined || median === undefined) return [];
      return [{ name: `${name} against ${first}`, cells: [`${((median / least - 1) * 100).toFixed(1)} %`] }];
    });
  });
  return {
    tables: [
      tabulateStatistics("Milliseconds of a job, through HTTP", "with", statistics, 3),
      { title: "Growth of the median", columns: ["", "more"], rows: against },
    ],
    notes: [
      "layers-N: the job's image has so many; images-N: the worker's disk has so many images, each of one layer.",
      "waiting-N: so many jobs of low priority wait for the only slot; one of high priority is measured, which waits for " +
        "the job that runs.",
    ],
    data: { unit: "ms", candidates: [...samples].map(([name, values]) => ({ name, samples: values })) },
  };
}

/** Starts what a group of subjects needs. */
type Prepare = (
  bench: Workbench,
  resources: AsyncDisposableStack,
  isWanted: (name: string) => boolean,
) => Promise<Subject<number>[]>;

const prepareLayers: Prepare = async (bench, resources, isWanted) => {
  const wanted = LAYERS.filter((height) => isWanted(`layers-${height}`));
  const store = await ImageStore.open(join(bench.dataDirectory, "images"));
  for (const height of wanted) await storeImages(store, bench, [`layers-${height}`], height);
  if (wanted.length === 0) return [];
  const { url } = await startLongshore(bench, resources);
  return wanted.map((height) => {
    const name = `layers-${height}`;
    return subjectOf(name, url, jobOf(bench, name, "normal"), resources);
  });
};

const prepareImages: Prepare = async (bench, resources, isWanted) => {
  const subjects = [];
  for (const count of IMAGES.filter((number) => isWanted(`images-${number}`))) {
    const data = join(bench.directory, `images-${count}`);
    const references = Array.from({ length: count }, (_, index) => `image-${index}`);
    await storeImages(await ImageStore.open(join(data, "images")), bench, references, 1);
    const { url } = await startLongshore(bench, resources, { settings: { LONGSHORE_DATA: data } });
    subjects.push(subjectOf(`images-${count}`, url, jobOf(bench, `image-${count >> 1}`, "normal"), resources));
  }
  return subjects;
};

const prepareWaiting: Prepare = async (bench, resources, isWanted) => {
  const subjects = [];
  for (const count of WAITING.filter((number) => isWanted(`waiting-${number}`))) {
    const settings = { LONGSHORE_QUEUE_LIMIT: String(2 * count) };
    const { url, redisUrl } = await startLongshore(bench, resources, { settings });
    resources.use(await keepWaiting(bench, redisUrl, count));
    subjects.push(subjectOf(`waiting-${count}`, url, jobOf(bench, bench.image, "high"), resources));
  }
  return subjects;
};

function subjectOf(name: string, url: string, job: object, resources: AsyncDisposableStack): Subject<number> {
  const client = resources.use(new Client(url, job));
  return {
    name,
    async measure() {
      const { sent, answered } = await client.post();
      return Number(answered - sent) / 1e6;
    },
  };
}

function jobOf(bench: Workbench, image: string, priority: Priority): object {
  return { image, command: [bench.command], priority };
}

/** Images of the same layers, each with a configuration of its own. */
async function storeImages(
  store: ImageStore,
  bench: Workbench,
  references: readonly string[],
  height: number,
): Promise<void> {
  const layers = [];
  for (let index = 0; index < height; index++) {
    const staging = join(store.directory, "staging", `layer-${height}-${index}`);
    await mkdir(staging, { mode: 0o755 });
    await writeFile(join(staging, `file-${height}-${index}`), `${index}\n`);
    if (index === 0) {
      await copyFile(bench.program, join(staging, "program"));
      await chmod(join(staging, "program"), 0o755);
    }
    layers.push(await store.layers.commit(staging));
  }
  const rootfs = { type: "layers" as const, diff_ids: layers.map(({ digest }) => digest) };
  for (const reference of references) {
    const config = { architecture: hostArchitecture(), os: "linux", config: { Env: [`IMAGE=${reference}`] }, rootfs };
    await store.commit(reference, config, layers, {});
  }
}

/** How many are submitted at once. */
const ABREAST = 64;

const REFILL_MS = 20;

/** Sees to it that so many jobs of low priority wait, until it is disposed of. */
async function keepWaiting(bench: Workbench, redisUrl: string, count: number): Promise<AsyncDisposable> {
  const config = loadConfig({ REDIS_URL: redisUrl });
  const { queue, attempts, resultTtlSeconds } = config;
  await using resources = new AsyncDisposableStack();
  const redis = resources.adopt(
    connectRedis(redisUrl, "consumer", () => undefined),
    (it) => it.disconnect(),
  );
  const store = new JobStore({ redis, queue, resultTtlSeconds });
  const jobs = resources.use(new JobQueue({ redis, queue, attempts }));
  const submitter = new Submitter(store, jobs, 2 * count);
  const schema = createJobRequestSchema(defaultMaxima);
  const checked = parseJobRequest(schema, jobOf(bench, bench.image, "low"));
  const request = resolveRequest(checked, new Map(), defaultMaxima);
  const fill = async (): Promise<void> => {
    for (;;) {
      const missing = count - (await redis.zcard(store.keys.queued));
      if (missing <= 0) return;
      const some = Array.from({ length: Math.min(ABREAST, missing) }, () => submitter.submit(request));
      await Promise.all(some);
    }
  };
  await fill();
  const stopping = new AbortController();
  const refilling = (async () => {
    while (!stopping.signal.aborted) {
      await delay(REFILL_MS);
      await fill();
    }
  })();
  resources.defer(async () => {
    stopping.abort();
    await refilling;
  });
  return resources.move();
}
