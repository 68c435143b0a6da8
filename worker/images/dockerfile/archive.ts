/** Archives that ADD unpacks: tar, plain or compressed by gzip, zstd, xz or bzip2. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, createReadStream, readSync } from "node:fs";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { extract, type Header } from "tar-stream";
import { S } from "../../linux/constants.ts";
import { type FileTree, nameOf, parentOf, resolveIn } from "../tree/file-tree.ts";
import type { Attributes, LayerDraft } from "./layer-draft.ts";
import type { Ids } from "../tree/users.ts";

type Compression = "none" | "gzip" | "zstd" | "xz" | "bzip2";

const MAGIC: readonly (readonly [Exclude<Compression, "none">, readonly number[]])[] = [
  ["gzip", [0x1f, 0x8b]],
  ["zstd", [0x28, 0xb5, 0x2f, 0xfd]],
  ["xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ["bzip2", [0x42, 0x5a, 0x68]],
];

const BLOCK_BYTES = 512;

/**
 * How a file is compressed that holds a tar; undefined for any other file, which ADD copies as it is.
 * A compressed file is looked into: `notes.gz` is no archive.
 */
export async function recognizeArchive(tree: FileTree, path: string): Promise<Compression | undefined> {
  const head = new Uint8Array(BLOCK_BYTES);
  const descriptor = tree.open(path);
  try {
    const length = readSync(descriptor, head);
    const compression = MAGIC.find(([, bytes]) => bytes.every((byte, index) => head[index] === byte))?.[0] ?? "none";
    if (compression === "none") return length === BLOCK_BYTES && isHeader(head) ? "none" : undefined;
    return (await beginsWithHeader(openArchive(tree, path, compression))) ? compression : undefined;
  } finally {
    closeSync(descriptor);
  }
}

async function beginsWithHeader(archive: Readable): Promise<boolean> {
  let head = Buffer.alloc(0);
  try {
    for await (const chunk of archive) {
      head = Buffer.concat([head, chunk]);
      if (head.byteLength >= BLOCK_BYTES) break;
    }
  } catch {
    return false;
  } finally {
    archive.destroy();
  }
  return head.byteLength >= BLOCK_BYTES && isHeader(head);
}

/** The checksum of a header counts its own field as spaces (POSIX.1-2001, pax, "ustar Interchange Format"). */
function isHeader(block: Uint8Array): boolean {
  const stated = Number.parseInt(Buffer.from(block.subarray(148, 156)).toString("latin1"), 8);
  let sum = 0;
  for (let index = 0; index < BLOCK_BYTES; index++) sum += index >= 148 && index < 156 ? 0x20 : (block[index] ?? 0);
  return stated === sum;
}

function openArchive(tree: FileTree, path: string, compression: Compression): Readable {
  const file = createReadStream("", { fd: tree.open(path), start: 0 });
  switch (compression) {
    case "none":
      return file;
    case "gzip":
      return through(file, createGunzip());
    case "zstd":
      return through(file, createZstdDecompress());
    case "xz":
    case "bzip2":
      return throughProgram(file, compression);
    default:
      return compression satisfies never;
  }
}

/** An error of the file is one of the result. */
function through<Stream extends NodeJS.ReadWriteStream & Readable>(file: Readable, decompress: Stream): Stream {
  pipeline(file, decompress, () => undefined);
  return decompress;
}

/** Node has no decompressor for these; the programs are part of every Debian. */
function throughProgram(file: Readable, program: "xz" | "bzip2"): Readable {
  const child = spawn(program, ["--decompress", "--stdout"], { stdio: ["pipe", "pipe", "ignore"] });
  pipeline(file, child.stdin, () => undefined);
  child.on("error", () =>
    child.stdout.destroy(
      new Error(`${program} is not installed: apt-get install ${program === "xz" ? "xz-utils" : program}`),
    ),
  );
  void once(child, "exit").then(
    ([exitCode]) => {
      if (exitCode !== 0) child.stdout.destroy(new Error(`${program} cannot decompress the archive`));
    },
    () => undefined,
  );
  return child.stdout;
}

/**
 * Unpacks an archive below a directory of a draft. Names lead nowhere above the image's root, links of the image are
 * followed within it. Extended attributes are left out.
 *
 * @param owner of all files, in place of the archive's
 * @throws for what cannot be in a layer
 */
export async function unpackArchive(
  tree: FileTree,
  path: string,
  compression: Compression,
  draft: LayerDraft,
  destination: string,
  owner: Ids | undefined,
): Promise<void> {
  const entries = extract();
  pipeline(openArchive(tree, path, compression), entries, () => undefined);
  for await (const entry of entries) {
    await unpackEntry(
      entry.header,
      entry as AsyncIterable<Uint8Array>,
      draft,
      destination,
      attributesOf(entry.header, owner),
    );
    entry.resume();
  }
}

async function unpackEntry(
  header: Header,
  content: AsyncIterable<Uint8Array>,
  draft: LayerDraft,
  destination: string,
  attributes: Attributes,
): Promise<void> {
  const relative = withinRoot(header.name);
  const parents: Attributes = { uid: attributes.uid, gid: attributes.gid, mode: 0o755 };
  if (relative === "") return;
  const whole = `${destination}/${relative}`;
  if (header.type === "directory") {
    const made = draft.makeDirectory(whole, attributes);
    if (resolveIn(draft, whole, "kept").path === made) draft.setDirectory(made, attributes);
    return;
  }
  const directory = draft.makeDirectory(`${destination}/${parentOf(relative)}`, parents);
  const name = nameOf(relative);
  switch (header.type) {
    case "file":
    case "contiguous-file":
    case undefined:
    case null:
      return draft.writeFile(directory, name, content, attributes);
    case "symlink":
      return draft.makeSymlink(directory, name, header.linkname ?? "", attributes);
    case "link":
      return draft.makeHardLink(directory, name, `${destination}/${withinRoot(header.linkname ?? "")}`);
    case "character-device":
    case "block-device":
    case "fifo": {
      const type = header.type === "fifo" ? S.S_IFIFO : header.type === "block-device" ? S.S_IFBLK : S.S_IFCHR;
      const device = { major: header.devmajor ?? 0, minor: header.devminor ?? 0 };
      return draft.makeNode(directory, name, type, device, attributes);
    }
    default:
      throw new Error(`${header.name} is of type ${String(header.type)}, which cannot be in a layer`);
  }
}

/** A name as a path below the destination: `..` leads no higher. */
function withinRoot(name: string): string {
  const kept: string[] = [];
  for (const component of name.split("/")) {
    if (component === "..") kept.pop();
    else if (component !== "" && component !== ".") kept.push(component);
  }
  return kept.join("/");
}

function attributesOf(header: Header, owner: Ids | undefined): Attributes {
  const { uid, gid } = owner ?? { uid: header.uid ?? 0, gid: header.gid ?? 0 };
  if (uid > 65_535 || gid > 65_535)
    throw new Error(`${header.name} belongs to ${uid}:${gid}: a container has ids from 0 to 65535, set one by --chown`);
  return { uid, gid, mode: (header.mode ?? 0o644) & 0o7777, ...(header.mtime && { modified: header.mtime }) };
}
