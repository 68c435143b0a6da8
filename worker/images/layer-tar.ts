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
import { mkdir, mkdtemp, readdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { text } from "node:stream/consumers";
import { readXattr } from "../linux/xattr.ts";
import { type Digest } from "./digest.ts";

/** Identity and size of a layer's uncompressed tar. */
export interface LayerTar {
  readonly diffId: Digest;
  readonly bytes: number;
}

const TAR_OPTIONS = [
  "--create",
  "--sort=name",
  "--numeric-owner",
  "--format=posix",
  // Without these, PAX headers hold the writer's process id and times that change without a change of content.
  "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime,delete=mtime",
  "--xattrs",
  "--xattrs-include=*",
  "--xattrs-exclude=trusted.overlay.*",
];

/** Paths, relative to a layer, of what overlayfs marks as deleted in the layers below. */
interface Deletions {
  readonly whiteouts: string[];
  readonly opaque: string[];
}

/**
 * Streams `layer` through tar into sha256; nothing is written but placeholders for deletions.
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
  const deletions = await findDeletions(layer);
  const scratch = await mkdtemp(join(tmpdir(), "longshore-layer-"));
  try {
    yield* runTar(layer, await writePlaceholders(scratch, deletions));
  } finally {
    await rm(scratch, { recursive: true });
  }
}

async function findDeletions(layer: string): Promise<Deletions> {
  const deletions: Deletions = { whiteouts: [], opaque: [] };
  for (const entry of await readdir(layer, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isDirectory() && readXattr(path, "trusted.overlay.opaque")?.toString() === "y") {
      deletions.opaque.push(relative(layer, path));
    } else if (entry.isCharacterDevice() && (await stat(path)).rdev === 0) {
      deletions.whiteouts.push(relative(layer, path));
    }
  }
  return deletions;
}

interface Placeholders {
  /** File for `--exclude-from`: the devices that stand for deletions on disk. */
  readonly excluded: string;
  /** File for `--files-from`: the empty files that stand for them in the tar. */
  readonly included: string;
  readonly root: string;
}

async function writePlaceholders(scratch: string, { whiteouts, opaque }: Deletions): Promise<Placeholders> {
  const root = join(scratch, "root");
  await mkdir(root);
  const names = [
    ...whiteouts.map((path) => join(dirname(path), `.wh.${path.slice(path.lastIndexOf("/") + 1)}`)),
    ...opaque.map((path) => join(path, ".wh..wh..opq")),
  ].sort();
  for (const name of names) {
    const path = join(root, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, "", { mode: 0o600 });
    await utimes(path, 0, 0);
  }
  const excluded = join(scratch, "excluded");
  const included = join(scratch, "included");
  await writeFile(excluded, whiteouts.map((path) => `./${path}\0`).join(""));
  await writeFile(included, names.map((name) => `./${name}\0`).join(""));
  return { excluded, included, root };
}

async function* runTar(layer: string, { root, included, excluded }: Placeholders): AsyncGenerator<Uint8Array, void> {
  const args = [
    ...TAR_OPTIONS,
    // The specification wants whiteouts before their siblings, so that a layer can be applied as it streams in.
    ...["--null", "--verbatim-files-from", "--no-recursion", "--directory", root, `--files-from=${included}`],
    ...["--recursion", "--anchored", "--no-wildcards", `--exclude-from=${excluded}`, "--directory", layer, "."],
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
