import { createWriteStream } from "node:fs";
import { rm } from "node:fs/promises";
import { Command } from "commander";
import { exportToDirectory, exportToTar } from "../../images/archive/export.ts";
import type { StoredImage } from "../../images/store.ts";
import { findImage } from "./find-image.ts";
import { Interruption } from "./interruption.ts";
import { openStore } from "./open-store.ts";

export function exportCommand(): Command {
  return new Command("export")
    .description("write images to an OCI layout, which skopeo, umoci, podman and docker load read")
    .argument("<image...>", "names of images")
    .requiredOption("-o, --output <path>", "PATH.tar, - for a tar to stdout, or a directory")
    .addHelpText(
      "after",
      `
Examples:
  longshore images export tools:1 -o tools.tar
  longshore images export tools:1 debian -o layout/
  longshore images export tools:1 -o - | ssh worker longshore images import -`,
    )
    .action(async (names: string[], { output }: { output: string }) => {
      const store = await openStore();
      using interruption = new Interruption();
      const { signal } = interruption;
      const images: StoredImage[] = [];
      await using leases = new AsyncDisposableStack();
      for (const name of names) {
        const image = await findImage(store, name);
        leases.use(await store.lease(image.reference));
        images.push(image);
      }
      if (output === "-") return exportToTar(store, images, process.stdout, signal);
      if (!output.endsWith(".tar")) return exportToDirectory(store, images, output, signal);
      try {
        await exportToTar(store, images, createWriteStream(output), signal);
      } catch (error) {
        await rm(output, { force: true });
        throw error;
      }
    });
}
