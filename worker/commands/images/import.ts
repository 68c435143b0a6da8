import { Command } from "commander";
import { loadConfig } from "../../../shared/config.ts";
import { importImages } from "../../images/archive/import.ts";
import { hostPlatform } from "../../images/registry/platform.ts";
import { Interruption } from "./interruption.ts";
import { insistOnName } from "./new-name.ts";
import { openStore } from "./open-store.ts";
import { spoolStdin } from "./spooled-stdin.ts";
import { printImage } from "./summary.ts";

export function importCommand(): Command {
  return new Command("import")
    .description(
      "take images from an OCI layout (directory or tar), a docker save archive, or a root file system's tar",
    )
    .argument("<path>", "the directory or tar, - for a tar from stdin; tars may be compressed by gzip or zstd")
    .option("--name <name>", "what to call the image; needed where the file does not say")
    .addHelpText(
      "after",
      `
Examples:
  docker save tools:1 | longshore images import -
  longshore images import layout/ --name tools:1
  tar -c -C rootfs . | gzip | longshore images import - --name bare:1`,
    )
    .action(async (path: string, { name }: { name?: string }) => {
      if (name !== undefined) insistOnName(name);
      const platform = loadConfig(process.env).platform ?? hostPlatform();
      const store = await openStore();
      using interruption = new Interruption();
      const { signal } = interruption;
      await using spooled = path === "-" ? await spoolStdin(signal) : undefined;
      const displayName = spooled && "stdin";
      const images = await importImages(store, spooled?.path ?? path, { name, platform, displayName, signal });
      for (const image of images) printImage(image);
    });
}
