import { rm, writeFile } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { Command, Option } from "commander";
import type { Config } from "../../../shared/config.ts";
import type { ShardJob } from "../../../shared/job.ts";
import { limitNames, limitTable } from "../../../shared/limits.ts";
import { shardStrategies } from "../../../shared/shard-request.ts";
import { type Client, createClient } from "../client.ts";
import { exitCodeOfShard } from "../exit-codes.ts";
import { putBlob } from "../put-blob.ts";
import { report } from "../report.ts";
import { collect, limitOption } from "../request-options.ts";
import { saveOutputs } from "../save-outputs.ts";
import { annotate } from "../shard/annotations.ts";
import { expandItems } from "../shard/items.ts";
import { showSuite } from "../shard/progress.ts";
import { describeShardRequest, type ShardOptions } from "../shard/request.ts";
import { readSuiteEvent } from "../shard/suite-events.ts";
import { summarize } from "../shard/summary.ts";
import { followJob, settleJob } from "../watch-job.ts";

/** Where files are saved, unless told. */
const SAVE_TO = "outputs";

interface Options extends ShardOptions {
  readonly directory: string;
  readonly items?: readonly string[];
  readonly junit: string;
  readonly saveTo?: string;
  readonly json?: true;
  readonly verbose?: true;
}

/** `longshore shard`: the test suite of a checkout, split over all workers. */
export function shardCommand(config: () => Config, command: readonly string[]): Command {
  const shard = new Command("shard")
    .description("split the tests of a checkout over all workers, and merge what they report")
    .usage("--image <reference> [options] -- command...")
    .requiredOption("-i, --image <reference>", "image to run them in")
    .option("-n, --shards <count>", "how many containers share the work; 4 unless given")
    .addOption(new Option("--strategy <name>", "how items are divided; time unless given").choices(shardStrategies))
    .option(
      "--items <pattern>",
      "what becomes {items}: files of the checkout, or - for the lines of stdin; repeatable",
      collect,
    )
    .addOption(new Option("--discover <command>", "prints the items in a container, one a line").conflicts("items"))
    .option("--setup <command>", "run once before everything else; its files are there for all shards")
    .option("--report <glob>", "JUnit XML that the command leaves; /out/*.xml unless given; repeatable", collect)
    .option("--retry-failed <count>", "run what failed again, as often at most; what passes then is flaky")
    .option("--fail-fast", "stop all shards at the first failure")
    .option("--suite <name>", "under which durations are remembered; the directory's name unless given")
    .option("-C, --directory <path>", "the checkout", ".")
    .option("--at <path>", "where it is in the container, which is where the command runs", "/work")
    .option("-e, --env <name=value>", "environment variable; repeatable", collect)
    .option("--layer <digest=path>", "files of a blob below a path, see longshore blobs put; repeatable", collect)
    .option("--junit <file>", "where the merged report is put", "junit.xml")
    .option("-o, --output <glob>", "file to fetch from each shard when it is done; repeatable", collect)
    .option("--save-to <directory>", "where those files, and what each shard printed, are put; outputs unless given")
    .addOption(new Option("--priority <level>", "order among waiting jobs").choices(["low", "normal", "high"]))
    .option(
      "-v, --verbose",
      "show what setup, discovery and shards print, line by line with their name in front, on stderr",
    )
    .option("--json", "print the finished job as JSON instead of a summary");
  for (const name of limitNames) shard.option(`${limitOption(name)} <number>`, limitTable[name].meaning);
  return shard.addHelpText("after", help).action(async (options: Options) => {
    if (command.length === 0) shard.error("error: name the command behind --");
    await runShards(config(), options, command);
  });
}

const help = `
Words after -- are the command of each shard: the word {items} becomes its items, and {shard} and {shards} in any word
its number and how many there are. --setup and --discover are given to sh -c, or executed as they are where they are a
list in JSON: '["make", "deps"]'.

The checkout is sent without .git and what .gitignore and .longshoreignore name, unless it is there already.

Exit codes: 0 when everything passed; 1 when a test failed, an item is in no report, there are none, or setup or
discovery failed; 125 when it was not run: the API refused it or could not be reached, or the job failed.`;

async function runShards(config: Config, options: Options, command: readonly string[]): Promise<void> {
  // Who finds a report afterwards has that of this time; and the next checkout is the same without it.
  await rm(options.junit, { force: true });
  const client = createClient(config);
  // What was fetched the last time is no part of it.
  const selection = { ignoreFiles: "honoured", without: options.saveTo ?? SAVE_TO } as const;
  const { directory } = options;
  const items = options.items === undefined ? undefined : await expandItems(options.items, directory, selection);
  const checkout = await putBlob(client, directory, selection);
  const size =
    checkout.bytes < 1e6 ? `${(checkout.bytes / 1e3).toFixed(1)} kB` : `${(checkout.bytes / 1e6).toFixed(1)} MB`;
  report(checkout.status === "there" ? `the checkout (${size}) was there already` : `sent the checkout (${size})`);
  const suite = basename(resolve(directory)) || "/";
  const input = { checkout: checkout.digest, items, command, suite };
  const id = await client.submitWatched(describeShardRequest(options, input));
  report(`job ${id}`);
  const job = await settleJob(client, id, await followShards(client, id, options));
  if (job.kind !== "shard") throw new Error(`the server answered with a job of kind ${job.kind}`);
  if (options.json === true) process.stdout.write(`${JSON.stringify(job, undefined, 2)}\n`);
  else print(job, options.at);
  await fetchFiles(client, job, options);
  process.exitCode = exitCodeOfShard(job);
}

async function followShards(client: Client, id: string, { verbose }: Options): ReturnType<typeof followJob> {
  using progress = showSuite(process.stderr, verbose === true ? "streamed" : "last line");
  return await followJob(client, id, (sent) => {
    const event = readSuiteEvent(sent);
    if (event !== undefined) progress.show(event);
  });
}

function print({ id, state, result, error }: ShardJob, at: string): void {
  if (result !== null) {
    for (const line of summarize(result)) process.stdout.write(`${line}\n`);
    if (process.env["GITHUB_ACTIONS"] === "true") {
      for (const line of annotate(result.failures, at)) process.stdout.write(`${line}\n`);
    }
  } else if (error !== null) {
    report(`job ${id} failed: ${error.message} (${error.code})`);
  } else {
    report(`job ${id} was ${state}`);
  }
}

async function fetchFiles(client: Client, { id, result }: ShardJob, { junit, saveTo, output }: Options): Promise<void> {
  if (result === null) return;
  if (result.report !== null && "error" in result.report) {
    report(`there is no ${junit}: the report ${result.report.error}`);
  } else if (result.report !== null) {
    await writeFile(junit, await client.junitReport(id));
    report(`saved ${junit} (${result.report.bytes} bytes)`);
  }
  // Nobody who asked for no files is to find some among his own.
  if (saveTo === undefined && output === undefined) return;
  await saveOutputs(client, { id, outputs: result.shards.flatMap(({ outputs }) => outputs) }, saveTo ?? SAVE_TO);
}
