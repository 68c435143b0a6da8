#!/usr/bin/env node
/**
 * The `longshore` command: a client of the HTTP API, and a front for the programs that look after one machine.
 *
 * One file per command under commands/. Words after `--` belong to the program that is run, not to us.
 */
import { Command, CommanderError } from "commander";
import { loadConfig } from "../../shared/config.ts";
import { blobsCommand } from "./commands/blobs.ts";
import { doctorCommand } from "./commands/doctor.ts";
import { explainCommand } from "./commands/explain.ts";
import { imagesCommand } from "./commands/images.ts";
import { judgeCommand } from "./commands/judge.ts";
import { runCommand } from "./commands/run.ts";
import { shardCommand } from "./commands/shard.ts";
import { startCommand } from "./commands/start.ts";
import { workersCommand } from "./commands/workers.ts";
import { exitCodes } from "./exit-codes.ts";
import { endWithReader } from "./interruption.ts";
import { reportError } from "./report.ts";

endWithReader();

const separator = process.argv.indexOf("--");
const own = separator < 0 ? process.argv : process.argv.slice(0, separator);
const programWords = separator < 0 ? [] : process.argv.slice(separator + 1);

const command = new Command("longshore")
  .description("run other people's programs, each in a container of its own")
  .helpCommand(false)
  .enablePositionalOptions()
  // 1 could be a program's own exit code.
  .exitOverride()
  .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, "longshore: ")) })
  .addHelpText("after", "\nLONGSHORE_URL names the API, LONGSHORE_API_KEY the key to use it with.");
const images = imagesCommand();
for (const subcommand of [
  runCommand(() => loadConfig(process.env), programWords),
  judgeCommand(() => loadConfig(process.env)),
  shardCommand(() => loadConfig(process.env), programWords),
  workersCommand(() => loadConfig(process.env)),
  blobsCommand(() => loadConfig(process.env)),
  images,
  explainCommand(),
  doctorCommand(),
  startCommand(),
]) {
  command.addCommand(subcommand.copyInheritedSettings(command));
}
// Inherited from us like all else; what it passes on has a help of its own.
images.helpOption(false);

try {
  await command.parseAsync(own);
} catch (error) {
  process.exitCode = exitCodes.ownFailure;
  if (!(error instanceof CommanderError)) reportError(error);
  // It has said what there is to say; 0 is for help that was asked for.
  else if (error.exitCode === 0) process.exitCode = exitCodes.success;
}
