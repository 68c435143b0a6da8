/** Archives that ADD unpacks: tar, plain or compressed by gzip, zstd, xz or bzip2. */
import { isUtf8 } from "node:buffer";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, createReadStream, readSync } from "node:fs";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { S } from "../../linux/constants.ts";
import { type FileTree, nameOf, parentOf, resolveIn } from "../tree/file-tree.ts";
import { belongsToImage } from "../image-xattrs.ts";
import { showPath } from "../unpack/refusal.ts";
import { type TarEntry, TarReader, type TarVisitor } from "../unpack/tar-reader.ts";
import type { Attributes, FileDraft, LayerDraft } from "./layer-draft.ts";
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
 * followed within it.
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
  using unpacker = new Unpacker(draft, destination, owner);
  const reader = new TarReader(unpacker);
  for await (const chunk of openArchive(tree, path, compression)) reader.write(chunk as Buffer);
  reader.end();
}

class Unpacker implements TarVisitor, Disposable {
  readonly #draft: LayerDraft;
  readonly #destination: string;
  readonly #owner: Ids | undefined;
  #file: FileDraft | undefined;

  constructor(draft: LayerDraft, destination: string, owner: Ids | undefined) {
    this.#draft = draft;
    this.#destination = destination;
    this.#owner = owner;
  }

  beginEntry(entry: TarEntry): void {
    const [draft, relative] = [this.#draft, withinRoot(textOf(entry.name))];
    if (relative === "") return;
    const attributes = attributesOf(entry, this.#owner);
    if (entry.type === "directory") {
      const whole = `${this.#destination}/${relative}`;
      const made = draft.makeDirectory(whole, attributes);
      if (resolveIn(draft, whole, "kept").path === made) draft.setDirectory(made, attributes);
      return;
    }
    const parents: Attributes = { uid: attributes.uid, gid: attributes.gid, mode: 0o755 };
    const directory = draft.makeDirectory(`${this.#destination}/${parentOf(relative)}`, parents);
    const name = nameOf(relative);
    const { type, device } = entry;
    switch (type) {
      case "file":
        this.#file = draft.createFile(directory, name, attributes);
        return;
      case "symlink":
        return draft.makeSymlink(directory, name, textOf(entry.linkName), attributes);
      case "hard link":
        return draft.makeHardLink(directory, name, `${this.#destination}/${withinRoot(textOf(entry.linkName))}`);
      case "fifo":
        return draft.makeNode(directory, name, S.S_IFIFO, { major: 0, minor: 0 }, attributes);
      case "block device":
        return draft.makeNode(directory, name, S.S_IFBLK, device, attributes);
      case "character device":
        return draft.makeNode(directory, name, S.S_IFCHR, device, attributes);
      default:
        return type satisfies never;
    }
  }

  data(chunk: Buffer): void {
    this.#file?.write(chunk);
  }

  endEntry(): void {
    this.#file?.finish();
    this.#file = undefined;
  }

  /** Closes a file that the archive breaks off in. */
  [Symbol.dispose](): void {
    this.endEntry();
  }
}

/** A name as text. @throws when it is none: a Dockerfile, and what it says of files, is text */
function textOf(name: string): string {
  const bytes = Buffer.from(name, "latin1");
  if (isUtf8(bytes)) return bytes.toString("utf8");
  throw new Error(`the archive names a file ${JSON.stringify(name)}, which is no UTF-8`);
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

function attributesOf(entry: TarEntry, owner: Ids | undefined): Attributes {
  const { uid, gid } = owner ?? entry;
  if (uid > 65_535 || gid > 65_535) {
    const name = showPath(entry.name);
    throw new Error(`${name} belongs to ${uid}:${gid}: a container has ids from 0 to 65535, set one by --chown`);
  }
  const modified = new Date(entry.mtime.seconds * 1000 + entry.mtime.nanoseconds / 1e6);
  const xattrs = new Map([...entry.xattrs].filter(([name]) => belongsToImage(name)));
  return { uid, gid, mode: entry.mode, modified, xattrs };
}
