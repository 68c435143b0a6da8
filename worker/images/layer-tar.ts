/**
 * A layer directory as the tar stream whose sha256 is the layer's diff id.
 *
 * The same tree gives the same bytes: entries are sorted, owners numeric, times whole seconds, and nothing
 * of this host or moment (device numbers, inode order, access times) gets in. GNU tar writes it, because
 * it reads extended attributes (file capabilities), which Node cannot.
 *
 * On disk a layer is in overlayfs's own form, so that it can be mounted as it is; in the tar deletions are
 * in the form of the OCI image specification ("Whiteouts"):
 *
 *   on disk                                        in the tar
 *   character device 0:0 named `x`                 empty file `.wh.x`
 *   directory with trusted.overlay.opaque = "y"    empty file `.wh..wh..opq` inside it
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { lstat, mkdir, mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { readXattr } from "../linux/xattr.ts";
import { type Digest } from "./digest.ts";

/** Identity and size of a layer's uncompressed tar. */
export interface LayerTar {
  readonly diffId: Digest;
  readonly bytes: number;
}

/**
 * Changes when the tar of the same tree does: what was built before would not have the digest that it says any more, and
 * is built anew. 2: every deletion is in the form of the specification, and not only the first.
 */
export const LAYER_TAR_VERSION = 2;

const TAR_OPTIONS = [
  "--create",
  "--numeric-owner",
  "--format=posix",
  // Without these, PAX headers hold the writer's process id and times that change without a change of content.
  "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime,delete=mtime",
  "--xattrs",
  "--xattrs-include=*",
  "--xattrs-exclude=trusted.overlay.*",
  // Lists of files hold names as they are, and name everything that is packed.
  "--null",
  "--verbatim-files-from",
  "--no-recursion",
];

/**
 * Streams `layer` through tar into sha256; nothing is written but lists of files, and placeholders for deletions.
 * @throws when tar fails, e.g. because the tree changes meanwhile
 */
export async function describeLayer(layer: string): Promise<LayerTar> {
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const chunk of packLayer(layer)) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  return { diffId: `sha256:${hash.digest("hex")}`, bytes };
}

/**
 * The layer's tar in pieces.
 * @throws when tar fails; what came before is then no whole archive
 */
export async function* packLayer(layer: string): AsyncGenerator<Uint8Array, void> {
  const contents: Contents = { files: [Buffer.from(".")], whiteouts: [] };
  await listContents(Buffer.from(layer), Buffer.from("."), contents);
  const scratch = await mkdtemp(join(tmpdir(), "longshore-layer-"));
  try {
    yield* runTar(layer, await writeLists(scratch, contents));
  } finally {
    await rm(scratch, { recursive: true });
  }
}

/** Paths in a layer, relative to it, which begin with `./`. Bytes: names need not be UTF-8. */
interface Contents {
  /** What is packed as it is, each directory before what it holds. */
  readonly files: Buffer[];
  /** As the tar names them, see above. */
  readonly whiteouts: Buffer[];
}

/** Takes in what a directory holds: in the order of the bytes of names, and of each directory all at once. */
async function listContents(layer: Buffer, directory: Buffer, contents: Contents): Promise<void> {
  const absolute = joinBytes(layer, directory);
  if (readXattr(absolute, "trusted.overlay.opaque")?.toString() === "y") {
    contents.whiteouts.push(joinBytes(directory, Buffer.from(".wh..wh..opq")));
  }
  const entries = await readdir(absolute, { withFileTypes: true, encoding: "buffer" });
  for (const entry of entries.toSorted((one, other) => Buffer.compare(one.name, other.name))) {
    const path = joinBytes(directory, entry.name);
    if (entry.isCharacterDevice() && (await lstat(joinBytes(layer, path))).rdev === 0) {
      contents.whiteouts.push(joinBytes(directory, Buffer.concat([Buffer.from(".wh."), entry.name])));
      continue;
    }
    contents.files.push(path);
    if (entry.isDirectory()) await listContents(layer, path, contents);
  }
}

function joinBytes(directory: Buffer, name: Buffer): Buffer {
  return Buffer.concat([directory, Buffer.from("/"), name]);
}

interface Lists {
  /** Files for `--files-from`: of the whiteouts, which are empty files below `root`; and of all else. */
  readonly whiteouts: string;
  readonly files: string;
  readonly root: string;
}

async function writeLists(scratch: string, contents: Contents): Promise<Lists> {
  const root = join(scratch, "root");
  await mkdir(root);
  const whiteouts = contents.whiteouts.toSorted((one, other) => Buffer.compare(one, other));
  for (const name of whiteouts) {
    const path = joinBytes(Buffer.from(root), name);
    // As bytes again, which mkdir passes on.
    await mkdir(path.subarray(0, path.lastIndexOf("/")), { recursive: true });
    await writeFile(path, "", { mode: 0o600 });
    await utimes(path, 0, 0);
  }
  const lists = { whiteouts: join(scratch, "whiteouts"), files: join(scratch, "files"), root };
  await writeFile(lists.whiteouts, listOf(whiteouts));
  await writeFile(lists.files, listOf(contents.files));
  return lists;
}

function listOf(paths: readonly Buffer[]): Buffer {
  return Buffer.concat(paths.flatMap((path) => [path, Buffer.from([0])]));
}

async function* runTar(layer: string, { root, whiteouts, files }: Lists): AsyncGenerator<Uint8Array, void> {
  const args = [
    ...TAR_OPTIONS,
    // The specification wants whiteouts before their siblings, so that a layer can be applied as it streams in.
    ...["--directory", root, `--files-from=${whiteouts}`],
    ...["--directory", layer, `--files-from=${files}`],
  ];
  const tar = spawn("tar", args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env["PATH"], LC_ALL: "C" },
  });
  const ended = once(tar, "close");
  const complaints = text(tar.stderr);
  try {
    yield* tar.stdout;
    const [exitCode] = await ended;
    if (exitCode !== 0) throw new Error(`tar of layer ${layer} failed: ${(await complaints).trim()}`);
  } finally {
    // A reader that stops early leaves tar with a closed pipe, which ends it.
    await ended;
  }
}
