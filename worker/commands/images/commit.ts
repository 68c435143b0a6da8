import { Command } from "commander";
import { commitKeptRun, type CommitRemarks } from "../../images/kept/commit.ts";
import { insistOnName } from "./new-name.ts";
import { openStore } from "./open-store.ts";
import { printImage } from "./summary.ts";

export function commitCommand(): Command {
  return new Command("commit")
    .description('make what a job with "keepLayer" wrote a new layer on its image; on the machine of its worker')
    .argument("<job>", "id of the job")
    .argument("<name>", "what to call the image, e.g. tools:1, or registry:5000/tools:1 to push it there")
    .option("-m, --message <text>", "remark in the image's history")
    .option("--author <name>", "author of the image")
    .addHelpText(
      "after",
      `
Examples:
  longshore run --keep-layer -i debian install.sh -- bash install.sh
  longshore images commit 1e0ba2b8-4a5c-4a51-8b0c-1b0f6e5e2d7a tools:1 -m "with ripgrep"`,
    )
    .action(async (job: string, name: string, remarks: CommitRemarks) => {
      insistOnName(name);
      printImage(await commitKeptRun(await openStore(), job, name, remarks));
    });
}
