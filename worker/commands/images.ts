/**
 * The images of this machine, as a program of its own: `longshore images` starts it, and so does the set-up.
 * Each sub-command is a file under images/.
 *
 *   node worker/commands/images.ts list [--json]
 *   node worker/commands/images.ts build CONTEXT -t NAME [-f FILE] [--network host] …
 *   node worker/commands/images.ts build [--verbose] NAME… | --all
 *   node worker/commands/images.ts pull REFERENCE…
 *   node worker/commands/images.ts push IMAGE [DESTINATION]
 *   node worker/commands/images.ts commit JOB NAME
 *   node worker/commands/images.ts import PATH [--name NAME]
 *   node worker/commands/images.ts export IMAGE… -o PATH
 *   node worker/commands/images.ts inspect | history | rm IMAGE…
 *   node worker/commands/images.ts gc
 *
 * Results go to stdout, progress and errors to stderr; exit code 1 when something failed.
 */
import { Command } from "commander";
import { buildCommand } from "./images/build.ts";
import { commitCommand } from "./images/commit.ts";
import { exportCommand } from "./images/export.ts";
import { collectCommand } from "./images/gc.ts";
import { historyCommand } from "./images/history.ts";
import { importCommand } from "./images/import.ts";
import { inspectCommand } from "./images/inspect.ts";
import { listCommand } from "./images/list.ts";
import { pullCommand } from "./images/pull.ts";
import { pushCommand } from "./images/push.ts";
import { removeCommand } from "./images/rm.ts";

const program = new Command("longshore images")
  .description("the images stored on this machine, in LONGSHORE_DATA")
  .addCommand(listCommand(), { isDefault: true })
  .addCommand(buildCommand())
  .addCommand(pullCommand())
  .addCommand(pushCommand())
  .addCommand(commitCommand())
  .addCommand(importCommand())
  .addCommand(exportCommand())
  .addCommand(inspectCommand())
  .addCommand(historyCommand())
  .addCommand(removeCommand())
  .addCommand(collectCommand())
  .addHelpText(
    "after",
    `
Images are called as people call them: by the name they were given here, as docker.io/library/python:3.13-slim or
python:3.13-slim, or by their digest. Results go to stdout, progress and errors to stderr; the exit code is 1 when
something failed.`,
  );

try {
  await program.parseAsync();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
