import { createReadStream } from "node:fs";
import { mkdtempDisposable, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline, type Readable } from "node:stream";
import { createZstdCompress } from "node:zlib";
import { Command } from "commander";
import { spool } from "../../../shared/blobs/spool.ts";
import type { Config } from "../../../shared/config.ts";
import { createClient } from "../client.ts";
import { packDirectory } from "../pack-directory.ts";
import { report } from "../report.ts";

/** `longshore blobs`: what jobs use, put once. */
export function blobsCommand(config: () => Config): Command {
  const put = new Command("put")
    .description("put a file or a directory, unless it is there, and print its digest")
    .argument("<path>", "a tar, plain or compressed with gzip or zstd, or a directory to be packed into one")
    .action((path: string) => putBlob(config(), path));
  return new Command("blobs")
    .description("put what jobs use as layers: longshore run --layer DIGEST=PATH")
    .addCommand(put);
}

async function putBlob(config: Config, path: string): Promise<void> {
  const source = (await stat(path)).isDirectory() ? compressed(packDirectory(path)) : createReadStream(path);
  // Its digest comes first, since it may be there already; and what is sent is the copy that has it.
  await using copies = await mkdtempDisposable(join(tmpdir(), "longshore-blob-"));
  const file = await spool(source, copies.path);
  const status = await createClient(config).putBlob(file);
  if (status === "there") report("it was there already");
  process.stdout.write(`${file.digest}\n`);
}

/** A stream that fails when its source does. */
function compressed(source: Readable): AsyncIterable<Uint8Array> {
  return pipeline(source, createZstdCompress(), () => undefined);
}
