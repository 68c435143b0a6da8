import { Command } from "commander";
import { become } from "../child.ts";

/** `longshore images`: this machine's images, and where they come from and go to. */
export function imagesCommand(): Command {
  return new Command("images")
    .description("list, build, pull, push, import, export or remove images on this machine: longshore images --help")
    .argument("[words...]")
    .allowUnknownOption()
    .passThroughOptions()
    .action((words: string[]) => become("worker/commands/images.ts", words));
}
