import { Command } from "commander";
import { become } from "../child.ts";

/** `longshore images`: this machine's images, and where they come from and go to. */
export function imagesCommand(): Command {
  return new Command("images")
    .description("list the images on this machine, or build, pull or push some: longshore images build NAME")
    .argument("[words...]", "passed on: build NAME, pull REFERENCE, push IMAGE, …")
    .allowUnknownOption()
    .passThroughOptions()
    .helpOption(false)
    .action((words: string[]) => become("worker/commands/images.ts", words));
}
