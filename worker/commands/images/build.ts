import { Command } from "commander";
import { buildImage, type BuildProgress } from "../../images/build.ts";
import { openStore } from "./open-store.ts";
import { megabytes, summarize } from "./summary.ts";

export function buildCommand(): Command {
  return new Command("build")
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
}
