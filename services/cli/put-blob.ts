import { createReadStream } from "node:fs";
import { mkdtempDisposable, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline, type Readable } from "node:stream";
import { createZstdCompress } from "node:zlib";
import { spool } from "../../shared/blobs/spool.ts";
import type { Digest } from "../../shared/digest.ts";
import type { Client } from "./client.ts";
import type { Selection } from "./directory-tree.ts";
import { packDirectory } from "./pack-directory.ts";

/** A blob that the API has. */
export interface PutBlob {
  readonly digest: Digest;
  readonly bytes: number;
  /** `there`: it was already, and nothing was sent. */
  readonly status: "put" | "there";
}

/** Puts a tar as it is, or what is selected of a directory packed into one, unless it is there. */
export async function putBlob(client: Pick<Client, "putBlob">, path: string, selection: Selection): Promise<PutBlob> {
  const isDirectory = (await stat(path)).isDirectory();
  const source = isDirectory ? compressed(packDirectory(path, selection)) : createReadStream(path);
  // Its digest comes first, since it may be there already; and what is sent is the copy that has it.
  await using copies = await mkdtempDisposable(join(tmpdir(), "longshore-blob-"));
  const file = await spool(source, copies.path);
  return { digest: file.digest, bytes: file.bytes, status: await client.putBlob(file) };
}

/** A stream that fails when its source does. */
function compressed(source: Readable): AsyncIterable<Uint8Array> {
  return pipeline(source, createZstdCompress(), () => undefined);
}
