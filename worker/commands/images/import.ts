import { Command } from "commander";
import { loadConfig } from "../../../shared/config.ts";
import { importImages } from "../../images/archive/import.ts";
import { hostPlatform } from "../../images/registry/platform.ts";
import { Interruption } from "./interruption.ts";
import { insistOnName } from "./new-name.ts";
import { openStore } from "./open-store.ts";
import { printImage } from "./summary.ts";

export function importCommand(): Command {
  return new Command("import")
    .description(
      "take images from an OCI layout (directory or tar), a docker save archive, or a root file system's tar",
    )
    .argument("<path>", "the directory or tar; a tar may be compressed by gzip or zstd")
    .option("--name <name>", "what to call the image; needed where the file does not say")
    .addHelpText(
      "after",
      `
Examples:
  docker save tools:1 | zstd >tools.tar.zst && longshore images import tools.tar.zst
  longshore images import layout/ --name tools:1
  tar -c -C rootfs . | gzip >rootfs.tar.gz && longshore images import rootfs.tar.gz --name bare:1`,
    )
    .action(async (path: string, { name }: { name?: string }) => {
      if (name !== undefined) insistOnName(name);
      const platform = loadConfig(process.env).platform ?? hostPlatform();
      const store = await openStore();
      using interruption = new Interruption();
      const images = await importImages(store, path, { name, platform, signal: interruption.signal });
      for (const image of images) printImage(image);
    });
}
