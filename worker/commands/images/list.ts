import { Command } from "commander";
import { listShippedImages } from "../../images/shipped.ts";
import { openStore } from "./open-store.ts";
import { type ImageSummary, megabytes, summarize } from "./summary.ts";

export function listCommand(): Command {
  return new Command("list")
    .description("list the stored images")
    .option("--json", "print JSON")
    .action(async (options: { json?: true }) => {
      const images = (await (await openStore()).list()).map(summarize);
      if (options.json) console.log(JSON.stringify(images));
      else if (images.length === 0) console.log(`no images: build one of ${(await listShippedImages()).join(", ")}`);
      else console.log(tabulate(images));
    });
}

function tabulate(images: readonly ImageSummary[]): string {
  const width = Math.max(...images.map(({ reference }) => reference.length));
  return images
    .map(
      ({ reference, digest, bytes }) =>
        `${reference.padEnd(width)}  ${digest.slice(0, 19)}  ${megabytes(bytes).padStart(9)}`,
    )
    .join("\n");
}
