import { Command } from "commander";
import { become } from "../child.ts";

/** `longshore images`: this machine's images, and building them. */
export function imagesCommand(): Command {
  return new Command("images")
    .description("list the images on this machine, or build one: longshore images build NAME")
    .argument("[words...]", "passed on: build NAME, …")
    .allowUnknownOption()
    .passThroughOptions()
    .helpOption(false)
    .action((words: string[]) => become("worker/commands/images.ts", words));
}
