import { Command } from "commander";
import { listShippedImages } from "../../images/shipped.ts";
import { type ImageUsage, totalUsage, type TotalUsage, usageOf } from "../../images/usage.ts";
import { openStore } from "./open-store.ts";
import { type ImageSummary, megabytes, summarize } from "./summary.ts";

export function listCommand(): Command {
  // It is what is done without a command, so that an unknown one comes here.
  return new Command("list")
    .description("list the stored images")
    .option("--json", "print JSON")
    .allowExcessArguments()
    .action(async (options: { json?: true }, command: Command) => {
      const [unknown] = command.args;
      if (unknown !== undefined) command.error(`error: there is no ${unknown}: see longshore images --help`);
      const stored = await (await openStore()).list();
      const usage = usageOf(stored);
      const images = stored.map((image): ListedImage => ({ ...summarize(image), ...usage.get(image.digest) }));
      if (options.json) console.log(JSON.stringify(images));
      else if (images.length === 0) console.log(`no images: build one of ${(await listShippedImages()).join(", ")}`);
      else console.log([...tabulate(images), describeTotal(usage.size, totalUsage(stored))].join("\n"));
    });
}

type ListedImage = ImageSummary & Partial<ImageUsage>;

function tabulate(images: readonly ListedImage[]): string[] {
  const width = Math.max(...images.map(({ reference }) => reference.length));
  return images.map(({ reference, digest, bytes, sharedBytes = 0, ownBytes = 0 }) =>
    [
      reference.padEnd(width),
      digest.slice(0, 19),
      megabytes(bytes).padStart(9),
      `(${megabytes(sharedBytes)} shared, ${megabytes(ownBytes)} its own)`,
    ].join("  "),
  );
}

/** @param images how many there are, each counted once whatever its names */
function describeTotal(images: number, { layers, bytes, blobBytes }: TotalUsage): string {
  const blobs = blobBytes === 0 ? "" : `, and ${megabytes(blobBytes)} as they were pulled`;
  return `${images} images of ${layers} layers, each stored once: ${megabytes(bytes)}${blobs}`;
}
