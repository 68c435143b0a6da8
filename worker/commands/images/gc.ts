import { Command } from "commander";
import { loadConfig } from "../../../shared/config.ts";
import { collectGarbage } from "../../images/garbage.ts";
import { describeGarbage } from "./garbage-report.ts";
import { openStore } from "./open-store.ts";

export function collectCommand(): Command {
  return new Command("gc")
    .description("remove what no image needs, and beyond LONGSHORE_IMAGE_CACHE_BYTES the images least recently used")
    .action(async () => {
      const { imageCacheBytes } = loadConfig(process.env);
      const report = await collectGarbage(await openStore(), { bytesMax: imageCacheBytes });
      for (const name of report?.images ?? []) console.log(`${name}: removed`);
      console.log(describeGarbage(report));
    });
}
