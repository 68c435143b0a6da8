/**
 * The images of this machine, as a program of its own: `longshore images` starts it, and so does the set-up.
 *
 *   node worker/commands/images.ts list [--json]
 *   node worker/commands/images.ts build [--verbose] NAME…
 *
 * Results go to stdout, progress and errors to stderr; exit code 1 when something failed.
 */
import { join } from "node:path";
import { Command } from "commander";
import { loadConfig } from "../../shared/config.ts";
import { buildImage, type BuildProgress } from "../images/build.ts";
import { listRecipes } from "../images/recipe.ts";
import { ImageStore, type StoredImage } from "../images/store.ts";

const program = new Command("images").description("the images stored on this machine");

program
  .command("list", { isDefault: true })
  .description("list the stored images")
  .option("--json", "print JSON")
  .action(async (options: { json?: true }) => {
    const images = (await (await openStore()).list()).map(summarize);
    if (options.json) console.log(JSON.stringify(images));
    else if (images.length === 0) console.log(`no images: build one of ${(await listRecipes()).join(", ")}`);
    else console.log(tabulate(images));
  });

program
  .command("build")
  .description("build images from their recipes, unless they are up to date")
  .argument("<name...>", "names of recipes")
  .option("--verbose", "print what the package tools print")
  .action(async (names: string[], options: { verbose?: true }) => {
    const store = await openStore();
    for (const name of names) {
      const started = performance.now();
      const onProgress = ({ kind, image, text }: BuildProgress) => {
        if (kind === "step" || options.verbose) console.error(`${image}: ${text}`);
      };
      const image = summarize(await buildImage(store, name, { onProgress }));
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      console.log(`${name}: ${image.digest}, ${image.layers} layers, ${megabytes(image.bytes)}, ${seconds} s`);
    }
  });

interface ImageSummary {
  readonly reference: string;
  readonly digest: string;
  readonly created: string | undefined;
  readonly layers: number;
  readonly bytes: number;
}

function summarize({ reference, digest, config, layers }: StoredImage): ImageSummary {
  return {
    reference,
    digest,
    created: config.created,
    layers: layers.length,
    bytes: layers.reduce((sum, layer) => sum + layer.bytes, 0),
  };
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

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

async function openStore(): Promise<ImageStore> {
  return ImageStore.open(join(loadConfig(process.env).dataDirectory, "images"));
}

try {
  await program.parseAsync();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
