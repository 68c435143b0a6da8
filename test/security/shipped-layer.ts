/** Layers as a hostile image could bring them, unpacked as any other. */
import { existsSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { loadConfig } from "../../shared/config.ts";
import { ImageStore } from "../../worker/images/store.ts";
import { unpackLayer } from "../../worker/images/unpack/unpack-layer.ts";
import { tarArchive, type TarFields } from "../support/tar.ts";

const LIMITS = { bytesMax: 2 ** 30, entriesMax: 1000 };

/** Unpacks entries into a directory that is made for it. Throws when they are refused. */
export async function shipLayer(directory: string, entries: readonly TarFields[]): Promise<void> {
  const blob = `${directory}.tar`;
  await writeFile(blob, tarArchive(...entries));
  await mkdir(directory, { mode: 0o755 });
  // Modes of a layer are meant as they are written.
  const umask = process.umask(0);
  try {
    const result = await unpackLayer({ blob, compression: "none", diffId: undefined, directory, limits: LIMITS });
    if (result.kind !== "unpacked") throw new Error(`the layer is ${result.kind}: ${result.reason}`);
  } finally {
    process.umask(umask);
    await rm(blob);
  }
}

/** Where a file of an image is on this machine. */
export async function fileOfImage(name: string, path: string): Promise<string> {
  const images = await ImageStore.open(join(loadConfig(process.env).dataDirectory, "images"));
  const image = await images.resolve(name);
  const file = image?.layers.map((layer) => join(layer.path, path)).find((candidate) => existsSync(candidate));
  if (file === undefined) throw new Error(`image ${name} is not built, or has no ${path}: bash infra/setup.sh test`);
  return file;
}
