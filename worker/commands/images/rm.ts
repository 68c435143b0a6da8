import { Command } from "commander";
import { collectGarbage, untagImage } from "../../images/garbage.ts";
import { findImage } from "./find-image.ts";
import { openStore } from "./open-store.ts";
import { describeGarbage } from "./garbage-report.ts";

export function removeCommand(): Command {
  return new Command("rm")
    .description("remove images by name, or by digest with all their names, and what only they needed")
    .argument("<image...>", "names or digests; what a running container uses stays until it has ended")
    .action(async (names: string[]) => {
      const store = await openStore();
      for (const name of names) {
        const { reference } = await findImage(store, name);
        for (const removed of await untagImage(store, reference)) console.log(`${removed}: removed`);
      }
      console.log(describeGarbage(await collectGarbage(store)));
    });
}
