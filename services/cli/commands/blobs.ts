import { Command } from "commander";
import type { Config } from "../../../shared/config.ts";
import { createClient } from "../client.ts";
import { everything } from "../directory-tree.ts";
import { putBlob } from "../put-blob.ts";
import { report } from "../report.ts";

/** `longshore blobs`: what jobs use, put once. */
export function blobsCommand(config: () => Config): Command {
  const put = new Command("put")
    .description("put a file or a directory, unless it is there, and print its digest")
    .argument("<path>", "a tar, plain or compressed with gzip or zstd, or a directory to be packed into one")
    .action(async (path: string) => {
      const { digest, status } = await putBlob(createClient(config()), path, everything);
      if (status === "there") report("it was there already");
      process.stdout.write(`${digest}\n`);
    });
  return new Command("blobs")
    .description("put what jobs use as layers: longshore run --layer DIGEST=PATH")
    .addCommand(put);
}
