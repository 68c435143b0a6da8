import { Command } from "commander";
import { findImage } from "./find-image.ts";
import { openStore } from "./open-store.ts";
import { megabytes } from "./summary.ts";

/** What a line of a terminal has room for, next to the other columns. */
const WIDTH = 100;

export function historyCommand(): Command {
  return new Command("history")
    .description("print what an image was made by, newest first")
    .argument("<image>", "name or digest")
    .option("--no-trunc", "print instructions in full")
    .action(async (name: string, { trunc }: { trunc: boolean }) => {
      const { config, layers } = await findImage(await openStore(), name);
      const upwards = layers.values();
      const lines = (config.history ?? []).map((step) => {
        const bytes = step.empty_layer === true ? undefined : upwards.next().value?.bytes;
        // Whoever made the image wrote it: no control character of it reaches the terminal.
        const by = (step.created_by ?? "").replaceAll(/\s+/g, " ").replaceAll(/\p{Cc}/gu, "?");
        const shown = trunc && by.length > WIDTH ? `${by.slice(0, WIDTH - 1)}…` : by;
        return `${(step.created ?? "").padEnd(30)}  ${(bytes === undefined ? "-" : megabytes(bytes)).padStart(10)}  ${shown}`;
      });
      // Layers that the history does not speak of: it is optional.
      for (const { digest, bytes } of upwards)
        lines.push(`${"".padEnd(30)}  ${megabytes(bytes).padStart(10)}  ${digest}`);
      console.log(lines.toReversed().join("\n"));
    });
}
