/**
 * What every language's image and preset have to do, with the limits that a request gets which asks for none. It is run
 * for the languages whose images are stored; `longshore images build --all` stores all of them.
 */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadConfig } from "../../../shared/config.ts";
import type { RunJob } from "../../../shared/job.ts";
import { loadPresets } from "../../../shared/presets.ts";
import { SHIPPED_IMAGES } from "../../../worker/images/shipped.ts";
import { ImageStore } from "../../../worker/images/store.ts";
import { type DataDirectory, makeDataDirectory } from "../../support/data-directory.ts";
import { type RedisServer, startRedis } from "../../support/redis.ts";
import { startWorkerProcess, type WorkerProcess } from "../../support/worker.ts";
import { Client } from "../worker/client.ts";
import { programs } from "./programs.ts";

const presets = [...loadPresets(SHIPPED_IMAGES).values()];
const images = await ImageStore.open(join(loadConfig(process.env).dataDirectory, "images"));
const stored = new Set(await images.references.list());

let redis: RedisServer;
let data: DataDirectory;
let worker: WorkerProcess;
let client: Client;

beforeAll(async () => {
  redis = await startRedis();
  data = await makeDataDirectory();
  worker = startWorkerProcess({ REDIS_URL: redis.url, LONGSHORE_DATA: data.path, LONGSHORE_SLOTS: "2" });
  await worker.ready;
  client = await Client.open(redis.url);
});

afterAll(async () => {
  await client[Symbol.asyncDispose]();
  await worker[Symbol.asyncDispose]();
  await redis.stop();
  await data[Symbol.asyncDispose]();
});

/** What a failed expectation should show of a job. */
function summaryOf({ result, error }: RunJob): object {
  if (!result) return { error };
  const { outcome, exitCode, stdout, stderr, build } = result;
  return {
    outcome,
    exitCode,
    stdout: stdout.content,
    stderr: stderr.content,
    build: build?.outcome,
    log: build?.stderr.content,
  };
}

it("has programs for every preset", () => {
  expect(Object.keys(programs)).toEqual(presets.map(({ language }) => language));
});

describe.each(presets)("$language", (preset) => {
  const { language, image, build } = preset;
  const sources = programs[language];
  if (sources === undefined) throw new Error(`test/integration/languages/programs.ts has no ${language}`);

  it.skipIf(!stored.has(image))(
    "says its version, reads, prints, ends as it is told, and fails as it should",
    async () => {
      const run = (source: string) => client.run({ language, source, stdin: "a-line\n" });
      const exited = { outcome: "exited" };

      const version = await client.run({ image, command: preset.version });
      expect(summaryOf(version)).toMatchObject({ ...exited, exitCode: 0 });

      const hello = await run(sources.hello);
      expect(summaryOf(hello)).toMatchObject({ ...exited, exitCode: 0, stdout: "hello\n" });
      expect(summaryOf(await run(sources.echo))).toMatchObject({ ...exited, exitCode: 0, stdout: "got a-line\n" });
      expect(summaryOf(await run(sources.exit))).toMatchObject({ ...exited, exitCode: 3 });

      const failure = await run(sources.failure);
      expect(["exited", "signaled"]).toContain(failure.result?.outcome);
      expect(failure.result?.exitCode).not.toBe(0);
      expect(failure.result?.stderr.content).not.toBe("");

      if (build !== undefined) {
        const broken = await run(sources.broken ?? "");
        expect(summaryOf(broken)).toMatchObject({ build: "exited" });
        expect(broken.result?.build?.exitCode).toBeGreaterThan(0);
      }

      const [line = ""] = `${version.result?.stdout.content}${version.result?.stderr.content}`.trim().split("\n");
      const peak = (bytes: number | undefined) => `${Math.ceil((bytes ?? 0) / 1024 / 1024)} MiB`;
      const built = hello.result?.build;
      const compiled = built ? `, compiled with ${peak(built.usage.memoryPeakBytes)}` : "";
      console.log(`${language}: ok, hello in ${peak(hello.result?.usage.memoryPeakBytes)}${compiled}: ${line}`);
    },
  );
});
