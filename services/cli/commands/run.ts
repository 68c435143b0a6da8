import { readFile } from "node:fs/promises";
import { buffer } from "node:stream/consumers";
import { Command, Option } from "commander";
import type { Config } from "../../../shared/config.ts";
import { encodeContent } from "../../../shared/content.ts";
import { asRunJob } from "../../../shared/job.ts";
import { limitNames, limitTable } from "../../../shared/limits.ts";
import { createClient } from "../client.ts";
import { exitCodeOf } from "../exit-codes.ts";
import { RunFollower } from "../follow-run.ts";
import { Interruption } from "../interruption.ts";
import { report } from "../report.ts";
import { printEnding } from "../print-job.ts";
import { collect, limitOption } from "../request-options.ts";
import { describeRequest, type RunOptions } from "../run-request.ts";
import { saveOutputs } from "../save-outputs.ts";

interface Options extends RunOptions {
  readonly stdin?: string;
  readonly json?: true;
  readonly saveTo: string;
}

/** `longshore run`: one program, its output on ours, its exit code as ours. */
export function runCommand(config: () => Config, programWords: readonly string[]): Command {
  const command = new Command("run")
    .description("run a program and exit with its exit code")
    .usage("[options] <files...> [-- words...]")
    .argument("[files...]", "the program's main file, and further files that it needs; with --image perhaps none")
    .addOption(new Option("-l, --language <name>", "preset to run it with; guessed from the first file's ending"))
    .addOption(
      new Option(
        "-i, --image <reference>",
        "image to run it in; words after -- are the command, or else the image's own",
      ).conflicts("language"),
    )
    .option("--stdin <file>", "what the program reads from its stdin; - for our own")
    .option("-e, --env <name=value>", "environment variable; repeatable", collect)
    .option("--layer <digest=path>", "files of a blob below a path, see longshore blobs put; repeatable", collect)
    .option("--volume <name:path[:mode]>", "a volume of the operator's, mode ro or rw; repeatable", collect)
    .option("-o, --output <glob>", "file to fetch when it is done; repeatable", collect)
    .option("--save-to <directory>", "where fetched files are put", "outputs")
    .option("--readonly", "make the root file system read-only, but for /work, /tmp and /dev/shm")
    .option("--keep-layer", "keep what it writes for a while, to be made an image: longshore images commit JOB NAME")
    .addOption(new Option("--priority <level>", "order among waiting jobs").choices(["low", "normal", "high"]))
    .option("--json", "print the finished job as JSON instead of the program's output");
  for (const name of limitNames) command.option(`${limitOption(name)} <number>`, limitTable[name].meaning);
  return command.addHelpText("after", exitCodeHelp).action((files: string[], options: Options) => {
    if (files.length === 0 && options.image === undefined) command.error("error: name the program's files, or --image");
    return run(config(), files, options, programWords);
  });
}

const exitCodeHelp = `
Words after -- are the program's arguments.

Exit codes: the program's own; 128 + n when signal n ended it; 124 when one of its limits did, with a line on stderr;
125 when it was not run: the API refused it or could not be reached, or the job failed.`;

async function run(config: Config, files: string[], options: Options, programWords: readonly string[]): Promise<void> {
  const request = await describeRequest(files, options, programWords);
  const stdin = await readStdin(options.stdin);
  const client = createClient(config);
  const { id } = await client.submit({ ...request, stdin: encodeContent(stdin) });

  const follower = new RunFollower(client, id);
  using interruption = new Interruption();
  const finished = async (signal: AbortSignal) => {
    if (options.json !== true && interruption.isHeard) await follower.follow(signal);
    return await client.finished(id, signal);
  };
  let ended;
  try {
    ended = await finished(interruption.signal);
  } catch (error) {
    if (!interruption.signal.aborted) throw error;
    report(`canceling job ${id}`);
    await client.cancel(id);
    ended = await finished(AbortSignal.timeout(10_000));
  }

  const job = asRunJob(ended);
  if (options.json === true) process.stdout.write(`${JSON.stringify(job, undefined, 2)}\n`);
  else printEnding(job);
  await saveOutputs(client, { id, outputs: job.result?.outputs ?? [] }, options.saveTo);
  process.exitCode = exitCodeOf(job);
}

async function readStdin(file: string | undefined): Promise<Uint8Array> {
  if (file === undefined) return new Uint8Array();
  return file === "-" ? buffer(process.stdin) : readFile(file);
}
