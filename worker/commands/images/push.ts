import { Command } from "commander";
import { loadConfig } from "../../../shared/config.ts";
import { pushImage } from "../../images/registry/push.ts";
import { registrySettings } from "../../images/registry/settings.ts";
import { findImage } from "./find-image.ts";
import { Interruption } from "./interruption.ts";
import { openStore } from "./open-store.ts";
import { displayed } from "./transfer-display.ts";

export function pushCommand(): Command {
  return new Command("push")
    .description("push an image to its registry, or, with a destination, to another one or under another name")
    .argument("<image>", "name of an image that is here")
    .argument("[destination]", "where to push it, e.g. registry:5000/name:tag; by the image's name unless stated")
    .addHelpText(
      "after",
      `
Examples:
  longshore images push registry.example/tools:1
  longshore images push tools:1 registry.example/team/tools:1`,
    )
    .action(async (name: string, destination: string = name) => {
      const settings = registrySettings(loadConfig(process.env), process.env);
      const store = await openStore();
      const image = await findImage(store, name);
      using interruption = new Interruption();
      const { signal } = interruption;
      const pushed = await displayed((onProgress) =>
        pushImage(store, image, destination, settings, { signal, onProgress }),
      );
      console.log(`${pushed.reference}: ${pushed.digest}`);
    });
}
