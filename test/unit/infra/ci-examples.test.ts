import { execFile } from "node:child_process";
import { mkdir, mkdtempDisposable, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import * as z from "zod";
import { shardCommand } from "../../../services/cli/commands/shard.ts";
import { describeShardRequest, type ShardOptions } from "../../../services/cli/shard/request.ts";
import { loadConfig } from "../../../shared/config.ts";
import { defaultMaxima } from "../../../shared/limits.ts";
import { createShardRequestSchema } from "../../../shared/shard-request.ts";

const directory = join(import.meta.dirname, "../../../infra/ci");

const githubSchema = z.object({
  jobs: z.object({
    tests: z.object({ steps: z.array(z.object({ run: z.string().optional() })) }),
  }),
});
const gitlabSchema = z.object({ tests: z.object({ script: z.array(z.string()) }) });

async function load(name: string): Promise<unknown> {
  return parse(await readFile(join(directory, name), "utf8"));
}

/** The words that a shell gives to the command, wherever its clone is. */
async function wordsOf(script: string): Promise<string[]> {
  await using clone = await mkdtempDisposable(join(tmpdir(), "longshore-ci-"));
  await mkdir(join(clone.path, "services/cli"), { recursive: true });
  await writeFile(
    join(clone.path, "services/cli/longshore.ts"),
    "process.stdout.write(JSON.stringify(process.argv.slice(2)))",
  );
  const environment = { ...process.env, LONGSHORE_CLONE: clone.path, CI_PROJECT_PATH: "group/project" };
  const { stdout } = await promisify(execFile)("bash", ["-euc", script], { env: environment });
  return z.array(z.string()).parse(JSON.parse(stdout));
}

/** What the command would ask the API for. */
function requestOf([name, ...words]: readonly string[]) {
  expect(name).toBe("shard");
  const separator = words.indexOf("--");
  const command = words.slice(separator + 1);
  const shard = shardCommand(() => loadConfig({}), command)
    .exitOverride()
    .action(() => undefined)
    .parse(words.slice(0, separator), { from: "user" });
  const options = shard.opts<ShardOptions & { items?: readonly string[]; junit: string }>();
  const input = { checkout: `sha256:${"0".repeat(64)}`, items: options.items, command, suite: "project" } as const;
  return { options, request: createShardRequestSchema(defaultMaxima).parse(describeShardRequest(options, input)) };
}

describe("the example for GitHub Actions", () => {
  it("runs a command that longshore and its API take", async () => {
    const { jobs } = githubSchema.parse(await load("github-actions.yml"));
    const script = jobs.tests.steps.flatMap(({ run }) => run ?? []).find((run) => run.includes("longshore.ts"));
    const { options, request } = requestOf(await wordsOf(script ?? ""));
    expect(options).toMatchObject({ junit: "junit.xml", items: ["tests/**/test_*.py"] });
    expect(request).toMatchObject({ shards: 4, strategy: "dynamic", retryFailed: 1, environment: { CI: "true" } });
    expect(request.command).toEqual(["pytest", "-o", "junit_family=xunit1", "--junitxml=/out/junit.xml", "{items}"]);
  });
});

describe("the example for GitLab CI", () => {
  it("runs a command that longshore and its API take", async () => {
    const { tests } = gitlabSchema.parse(await load("gitlab-ci.yml"));
    const { options, request } = requestOf(await wordsOf(tests.script.join("\n")));
    expect(options).toMatchObject({ junit: "junit.xml" });
    expect(request).toMatchObject({
      suite: "group/project",
      discover: ["sh", "-c", "npx vitest list --filesOnly"],
      outputs: ["coverage/**"],
    });
    expect(request.command.at(-1)).toBe("{items}");
  });
});
