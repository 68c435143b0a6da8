import { Command } from "commander";
import { loadConfig } from "../../../shared/config.ts";
import { pullImage } from "../../images/registry/pull.ts";
import { registrySettings } from "../../images/registry/settings.ts";
import { Interruption } from "./interruption.ts";
import { openStore } from "./open-store.ts";
import { printImage } from "./summary.ts";
import { displayed } from "./transfer-display.ts";

export function pullCommand(): Command {
  return new Command("pull")
    .description("pull images from their registries, as far as they are not here")
    .argument("<reference...>", "python, ghcr.io/owner/name:tag, registry:5000/name@sha256:…")
    .addHelpText(
      "after",
      `
Examples:
  longshore images pull python:3.13-slim                 docker.io/library/python:3.13-slim
  longshore images pull ghcr.io/owner/name@sha256:…
  LONGSHORE_PLATFORM=linux/arm64 longshore images pull debian`,
    )
    .action(async (references: string[]) => {
      const settings = registrySettings(loadConfig(process.env), process.env);
      const store = await openStore();
      using interruption = new Interruption();
      for (const reference of references) {
        const { signal } = interruption;
        const pulled = await displayed((onProgress) => pullImage(store, reference, settings, { signal, onProgress }));
        printImage(pulled);
      }
    });
}
