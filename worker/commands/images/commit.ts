import { Command } from "commander";
import { parseReference } from "../../../shared/image-reference.ts";
import { commitKeptRun, type CommitRemarks } from "../../images/kept/commit.ts";
import { openStore } from "./open-store.ts";
import { megabytes, summarize } from "./summary.ts";

export function commitCommand(): Command {
  return new Command("commit")
    .description('make what a job with "keepLayer" wrote a new layer on its image; on the machine of its worker')
    .argument("<job>", "id of the job")
    .argument("<name>", "what to call the image, e.g. tools:1, or registry:5000/tools:1 to push it there")
    .option("-m, --message <text>", "remark in the image's history")
    .option("--author <name>", "author of the image")
    .action(async (job: string, name: string, remarks: CommitRemarks) => {
      // Another image's digest is no name for this one.
      if (parseReference(name).digest !== undefined) throw new Error(`${name} is a digest: give the image a name`);
      const image = await commitKeptRun(await openStore(), job, name, remarks);
      const { reference, digest, layers, bytes } = summarize(image);
      console.log(`${reference}: ${digest}, ${layers} layers, ${megabytes(bytes)}`);
    });
}
