import { Command } from "commander";
import { findImage } from "./find-image.ts";
import { openStore } from "./open-store.ts";

export function inspectCommand(): Command {
  return new Command("inspect")
    .description("print all about images as JSON: digest, layers with sizes and directories, configuration")
    .argument("<image...>", "names or digests")
    .action(async (names: string[]) => {
      const store = await openStore();
      const descriptions: object[] = [];
      for (const name of names) {
        const { reference, digest, manifest, config, layers } = await findImage(store, name);
        const describedLayers = layers.map(({ digest: diffId, bytes, path }, index) => ({
          diffId,
          bytes,
          blob: manifest.layers[index],
          path,
        }));
        const lastUsed = await store.leases.lastUsed(digest);
        descriptions.push({
          reference,
          digest,
          lastUsed,
          layers: describedLayers,
          config,
          annotations: manifest.annotations,
        });
      }
      console.log(JSON.stringify(descriptions, undefined, 2));
    });
}
