/** Layers as they are unpacked, on disk, with root's rights: nothing may come to lie outside of their directory. */
import { existsSync, lstatSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import * as fc from "fast-check";
import type { Compression } from "../../../worker/images/oci.ts";
import type { Relocation } from "../../../worker/images/unpack/relocation.ts";
import { unpackLayer, type UnpackResult } from "../../../worker/images/unpack/unpack-layer.ts";
import { listTree } from "../../support/file-tree.ts";
import { archives } from "../archive-values.ts";
import { defineTarget } from "../target.ts";

const LIMITS = { bytesMax: 64 * 1024, entriesMax: 100 };
const OWNER = { uid: 1000, gid: 1001 };

const COMPRESS: Readonly<Record<Compression, (tar: Buffer) => Buffer>> = {
  none: (tar) => tar,
  gzip: (tar) => gzipSync(tar, { level: 1 }),
  zstd: (tar) => zstdCompressSync(tar),
};
const compressions = fc.constantFrom<Compression>("none", "gzip", "zstd");

/** Unpacks archives one after the other, each into a directory between others that have to stay as they are. */
async function openPlace(resources: AsyncDisposableStack) {
  const place = await mkdtempDisposable(join(tmpdir(), "longshore-fuzz-"));
  resources.defer(() => place.remove());
  // Modes of a layer are meant as they are written.
  const umask = process.umask(0);
  resources.defer(() => void process.umask(umask));
  const blob = join(place.path, "blob");
  const directory = join(place.path, "layer");
  writeFileSync(join(place.path, "outside"), "untouched");
  mkdirSync(join(place.path, "etc"));

  async function unpack(
    archive: Buffer,
    compression: Compression,
    relocation?: Relocation,
  ): Promise<UnpackResult["kind"]> {
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory, { mode: 0o755 });
    writeFileSync(blob, COMPRESS[compression](archive));
    const before = surroundings();
    const task = { blob, compression, diffId: undefined, directory, limits: LIMITS, ...(relocation && { relocation }) };
    const result = await unpackLayer(task);
    if (result.kind === "failed") throw new Error(`it is taken for the host's fault: ${result.reason}`);
    const after = surroundings();
    if (after !== before) throw new Error(`something changed outside:\n${before}\n${after}`);
    return result.kind;
  }

  function surroundings(): string {
    return ["outside", "etc"].map((name) => `${name}\n${listTree(join(place.path, name)).join("\n")}`).join("\n");
  }
  return { directory, unpack };
}

export const layers = defineTarget({
  name: "layers on disk",
  runs: 750,
  values: fc.record({ archive: archives, compression: compressions }),
  async open(resources) {
    const { unpack } = await openPlace(resources);
    return async ({ archive, compression }) => {
      await unpack(archive, compression);
    };
  },
});

export const inputLayers = defineTarget({
  name: "layers that jobs bring, on disk",
  runs: 750,
  values: fc.record({ archive: archives, compression: compressions }),
  async open(resources) {
    const { directory, unpack } = await openPlace(resources);
    const parents = [{ uid: 0, gid: 0, mode: 0o755 }];
    return async ({ archive, compression }) => {
      const kind = await unpack(archive, compression, { path: "srv/work", parents, owner: OWNER });
      // What was refused in the middle is removed by whoever had it unpacked.
      if (kind !== "unpacked") return;
      for (const [above, only] of [
        [directory, "srv"],
        [join(directory, "srv"), "work"],
      ] as const) {
        const others = existsSync(above) ? readdirSync(above).filter((name) => name !== only) : [];
        if (others.length > 0) throw new Error(`beside its place there is ${others.join(", ")}`);
      }
      const place = join(directory, "srv/work");
      if (existsSync(place)) insistOnOwner(Buffer.from(place));
    };
  },
});

/** Names are bytes: no string holds all of them. */
function insistOnOwner(directory: Buffer): void {
  for (const name of readdirSync(directory, { encoding: "buffer" })) {
    const path = Buffer.concat([directory, Buffer.from("/"), name]);
    const status = lstatSync(path);
    // A whiteout is nobody's.
    const isWhiteout = status.isCharacterDevice() && status.rdev === 0;
    if (!isWhiteout && (status.uid !== OWNER.uid || status.gid !== OWNER.gid)) {
      throw new Error(`${path.toString("latin1")} is ${status.uid}:${status.gid}'s`);
    }
    if (status.isDirectory()) insistOnOwner(path);
  }
}
