/**
 * What every language's image and preset have to do, with the limits that a request gets which asks for none. It is run
 * for the languages whose images are stored; `npm run test:languages` builds all of them, and writes down what was found.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import { loadConfig } from "../../../shared/config.ts";
import type { RunJob } from "../../../shared/job.ts";
import { loadPresets, SHIPPED_IMAGES } from "../../../shared/presets.ts";
import { ImageStore } from "../../../worker/images/store.ts";
import { type DataDirectory, makeDataDirectory } from "../../support/data-directory.ts";
import { type RedisServer, startRedis } from "../../support/redis.ts";
import { startWorkerProcess, type WorkerProcess } from "../../support/worker.ts";
import { Client } from "../worker/client.ts";
import { programs } from "./programs.ts";
import { composeReport, type LanguageResult } from "./report.ts";

/** Where to write down what was found; no language is left out then. */
const REPORT = process.env["CONFORMANCE_REPORT"];

const presets = [...loadPresets(SHIPPED_IMAGES).values()];
const images = await ImageStore.open(join(loadConfig(process.env).dataDirectory, "images"));
const stored = new Set(await images.references.list());

const found: (LanguageResult & { readonly image: string })[] = [];

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

  const size = await images.size();
  console.log(`the store: ${size.images} images of ${size.layers} layers, ${(size.bytes / 1e6).toFixed(0)} MB`);
  if (REPORT !== undefined && found.length === presets.length) {
    await writeFile(REPORT, composeReport(found, size, "npm run test:languages"));
  }
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
    log: `${build?.stdout.content ?? ""}${build?.stderr.content ?? ""}`,
  };
}

/** The Debian package that a program is from: some are links, and dpkg knows them by the names before /bin was one. */
const FIND_PACKAGE = `
path=$(readlink -f "$(command -v "$1")")
owner=$(dpkg-query --search "$path" 2>/dev/null || dpkg-query --search "\${path#/usr}")
dpkg-query --show --showformat='\${Package} \${Version}' "\${owner%%:*}"`;

/** What a version begins with, without Debian's epoch and revision: what the authors call it. */
function upstreamOf(version: string): string {
  return /^(?:\d+:)?(\d+(?:\.\d+)*)/.exec(version)?.[1] ?? version;
}

it("has programs for every preset", () => {
  expect(Object.keys(programs)).toEqual(presets.map(({ language }) => language));
});

describe.each(presets)("$language", (preset) => {
  const { language, image, build } = preset;
  const sources = programs[language];
  if (sources === undefined) throw new Error(`test/integration/languages/programs.ts has no ${language}`);

  it.skipIf(REPORT === undefined && !stored.has(image))(
    "says its package's version, reads, prints, ends as it is told, and fails as it should",
    async () => {
      const run = (source: string) => client.run({ language, source, stdin: "a-line\n" });
      const exited = { outcome: "exited" };

      const owner = await client.run({ image, command: ["sh", "-ec", FIND_PACKAGE, "sh", preset.version[0]] });
      expect(summaryOf(owner)).toMatchObject({ ...exited, exitCode: 0, stdout: expect.stringMatching(/^\S+ \d/) });
      const debianPackage = owner.result?.stdout.content ?? "";
      const [, debianVersion = ""] = debianPackage.split(" ");
      const version = await client.run({ image, command: preset.version });
      expect(summaryOf(version)).toMatchObject({ ...exited, exitCode: 0 });
      const said = `${version.result?.stdout.content}${version.result?.stderr.content}`.trim();
      expect(said.match(/\d+(?:\.\d+)+/g)).toContain(upstreamOf(debianVersion));

      const hello = await run(sources.hello);
      expect(summaryOf(hello)).toMatchObject({ ...exited, exitCode: 0, stdout: "hello\n" });
      expect(summaryOf(await run(sources.echo))).toMatchObject({ ...exited, exitCode: 0, stdout: "got a-line\n" });
      expect(summaryOf(await run(sources.exit))).toMatchObject({ ...exited, exitCode: 3 });

      const failure = await run(sources.failure);
      expect(["exited", "signaled"]).toContain(failure.result?.outcome);
      expect(failure.result?.exitCode).not.toBe(0);
      expect(failure.result?.stderr.content).not.toBe("");

      const broken = await run(sources.broken);
      if (build === undefined) {
        const syntaxError = expect.stringMatching(/syntax ?error/i);
        expect(summaryOf(broken)).toMatchObject({ ...exited, stdout: "", stderr: syntaxError });
        expect(broken.result?.exitCode).toBeGreaterThan(0);
      } else {
        // The compiler names the file, and with it the line.
        const log = expect.stringContaining(preset.fileName);
        expect(summaryOf(broken)).toMatchObject({ outcome: "build_failed", stdout: "", build: "exited", log });
        expect(broken.result?.build?.exitCode).toBeGreaterThan(0);
      }

      const [line = ""] = said.split("\n");
      const helloBytes = hello.result?.usage.memoryPeakBytes ?? 0;
      const buildBytes = hello.result?.build?.usage.memoryPeakBytes;
      found.push({ language, image, package: debianPackage, version: line, helloBytes, buildBytes });
      const mebibytes = (bytes: number) => `${Math.ceil(bytes / 1024 / 1024)} MiB`;
      const compiled = buildBytes === undefined ? "" : `, compiled with ${mebibytes(buildBytes)}`;
      console.log(`${language}: ok, ${debianPackage}, hello in ${mebibytes(helloBytes)}${compiled}: ${line}`);
    },
  );
});

test.skipIf(!stored.has("cpp"))(
  "g++ takes what the image of C++ has compiled in advance, with the preset's options",
  async () => {
    const preset = presets.find(({ language }) => language === "cpp");
    if (preset?.build === undefined) throw new Error("the preset of C++ builds nothing");
    const compiled = await client.run({
      image: preset.image,
      command: [...preset.build.command, "-H"],
      files: [{ path: preset.fileName, content: "#include <bits/stdc++.h>\nint main() {}\n" }],
    });
    // What it has opened: `!` marks what it took, `x` what was compiled with other options.
    expect(summaryOf(compiled)).toMatchObject({
      exitCode: 0,
      stderr: expect.stringMatching(/^! \S+stdc\+\+\.h\.gch$/m),
    });
  },
);
