import { createHash, randomUUID } from "node:crypto";
import { closeSync, fstatSync, mkdirSync, openSync, readSync, type Stats, writeSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { parsePattern, unite } from "../../../shared/paths/glob.ts";
import { O } from "../../linux/constants.ts";
import { errnoName } from "../../linux/errno.ts";
import { type FileRights, openFilesAs } from "../../linux/file-rights.ts";
import { openBelow } from "../../linux/open.ts";
import type { OutputFile, OutputSpool } from "../spec.ts";
import { type Found, walkOutputs } from "./output-walk.ts";

const { EACCES } = constants.errno;

/** At most this many files are returned of one container, unless its spec says otherwise. */
const OUTPUT_FILES_MAX = 256;

/** Bytes of all files together that are returned in memory. */
const MEMORY_BYTES_MAX = 16 * 1024 * 1024;

/** A file that is larger goes to the spool, where there is one; also the size of the pieces in which it does. */
const SPOOLED_BYTES_MIN = 1024 * 1024;

/** A directory of a container whose processes are dead, so that nothing changes while it is read. */
export interface OutputTree {
  /** Descriptor of the container's root, or of the file system the working directory is on. */
  readonly base: number;
  /** The working directory below `base`. */
  readonly path: string;
  /** Descriptor of the container's root. */
  readonly root: number;
  /** Whose rights count: what a program may not read, it does not get by having it returned. */
  readonly rights: FileRights;
}

export interface OutputBounds {
  readonly filesMax?: number;
  readonly spool?: OutputSpool | undefined;
}

/**
 * Returns the regular files that `patterns` name below the working directory, or below the root where they begin with a
 * slash. The tree is a stranger's: no symlink is followed in it, and only what turns out to be a regular file is opened
 * for reading. Whatever else a pattern meets,
 * a path without a wildcard that does not exist, and that something had to be left out, is an error in the list.
 *
 * @param isCanceled asked for every entry: once it says so, what is left to find is left out
 * @param bounds how many files at most, and where large ones go
 */
export function collectOutputs(
  tree: OutputTree,
  patterns: readonly string[],
  isCanceled: () => boolean,
  { filesMax = OUTPUT_FILES_MAX, spool }: OutputBounds = {},
): OutputFile[] {
  if (patterns.length === 0) return [];
  const outputs: OutputFile[] = [];
  const room: Room = { memoryBytes: MEMORY_BYTES_MAX, spool, spoolBytes: spool?.bytesMax ?? 0 };
  for (const found of withRights(tree.rights, findEverywhere(tree, patterns, isCanceled))) {
    if (outputs.length === filesMax) {
      outputs.push({ path: found.path, error: `more than ${filesMax} files: the rest is left out` });
      break;
    }
    outputs.push(
      found.kind === "file"
        ? collectFile(found, tree.rights, room, isCanceled)
        : { path: found.path, error: found.error },
    );
  }
  return outputs;
}

/** Looks for each next thing with somebody's rights; what is done with it is done with the slot's own. */
function* withRights<Item>(rights: FileRights, items: Generator<Item, void>): Generator<Item, void> {
  const next = (): IteratorResult<Item, void> => {
    using _rights = openFilesAs(rights);
    return items.next();
  };
  try {
    for (let item = next(); item.done !== true; item = next()) yield item.value;
  } finally {
    items.return();
  }
}

/**
 * What is found from the root on, and then from the working directory: a suite's reports are mostly at `/out`, and are not
 * to be left out for the sake of a thousand files of coverage.
 */
function* findEverywhere(
  { base, path, root }: Omit<OutputTree, "rights">,
  patterns: readonly string[],
  isCanceled: () => boolean,
): Generator<Found, void> {
  const isAbsolute = (pattern: string): boolean => pattern.startsWith("/");
  const fromRoot = patterns.filter(isAbsolute).map((pattern) => pattern.slice(1));
  for (const found of findBelow({ base: root, path: "" }, fromRoot, isCanceled)) {
    yield { ...found, path: `/${found.path}` };
  }
  yield* findBelow(
    { base, path },
    patterns.filter((pattern) => !isAbsolute(pattern)),
    isCanceled,
  );
}

function* findBelow(
  { base, path }: Pick<OutputTree, "base" | "path">,
  patterns: readonly string[],
  isCanceled: () => boolean,
): Generator<Found, void> {
  if (patterns.length === 0) return;
  const directory = openBelow(base, path, O.O_RDONLY | O.O_DIRECTORY, "in root");
  if (directory < 0) {
    const error = directory === -EACCES ? "its directory cannot be opened: EACCES" : "the working directory is gone";
    for (const pattern of patterns) yield { kind: "left out", path: pattern, error };
    return;
  }
  using descriptors = new DisposableStack();
  descriptors.adopt(directory, closeSync);
  yield* findOutputs(directory, patterns, isCanceled);
}

/** What is left for further files. */
interface Room {
  memoryBytes: number;
  readonly spool: OutputSpool | undefined;
  spoolBytes: number;
}

/** What is asked for by its path, and then what is found in the tree, none of it twice. */
function* findOutputs(
  directory: number,
  patterns: readonly string[],
  isCanceled: () => boolean,
): Generator<Found, void> {
  const globs = [];
  const named = new Set<string>();
  for (const path of new Set(patterns)) {
    const pattern = parsePattern(path);
    switch (pattern.kind) {
      case "path":
        named.add(path);
        yield { kind: "file", path, directory, name: path };
        break;
      case "glob":
        globs.push(pattern.candidates);
        break;
      case "fault":
        yield { kind: "left out", path, error: `the pattern ${pattern.message}` };
        break;
      default:
        pattern satisfies never;
    }
  }
  if (globs.length === 0) return;
  for (const found of walkOutputs(directory, unite(globs), isCanceled)) {
    if (!named.has(found.path)) yield found;
  }
}

function collectFile(found: FoundFile, rights: FileRights, room: Room, isCanceled: () => boolean): OutputFile {
  const { path } = found;
  const opened = openRegularFile(found, rights);
  if ("error" in opened) return { path, ...opened };
  const { descriptor, size } = opened;
  using descriptors = new DisposableStack();
  descriptors.adopt(descriptor, closeSync);
  const isLarge = size > SPOOLED_BYTES_MIN || size > room.memoryBytes;
  const bytesLeft = isLarge && room.spool !== undefined ? room.spoolBytes : room.memoryBytes;
  if (size > bytesLeft) {
    return { path, error: `${size} bytes are more than the ${bytesLeft} that are left for output files` };
  }
  if (isLarge && room.spool !== undefined) {
    room.spoolBytes -= size;
    return { path, ...copyToSpool(descriptor, size, room.spool.directory, isCanceled) };
  }
  const content = readWhole(descriptor, size);
  room.memoryBytes -= content.byteLength;
  return { path, content, sha256: createHash("sha256").update(content).digest("hex") };
}

type FoundFile = Extract<Found, { kind: "file" }>;

/** Opens what is found, if it is a regular file and whoever it is for may read it. */
function openRegularFile(
  { directory, name }: FoundFile,
  rights: FileRights,
): { readonly descriptor: number; readonly size: number } | { readonly error: string } {
  using _rights = openFilesAs(rights);
  // O_PATH opens anything without effect: no FIFO waits for a writer, no device is touched.
  const place = openBelow(directory, name, O.O_PATH | O.O_NOFOLLOW, "no symlinks");
  if (place < 0) return { error: openError(-place) };
  using descriptors = new DisposableStack();
  descriptors.adopt(place, closeSync);
  const status = fstatSync(place);
  if (!status.isFile()) return { error: `${describe(status)} is not a regular file` };
  try {
    return { descriptor: openSync(`/proc/self/fd/${place}`, "r"), size: status.size };
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EACCES") return { error: openError(EACCES) };
    throw error;
  }
}

function copyToSpool(
  source: number,
  size: number,
  directory: string,
  isCanceled: () => boolean,
): { file: string; bytes: number; sha256: string } | { error: string } {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const file = join(directory, randomUUID());
  using descriptors = new DisposableStack();
  const target = descriptors.adopt(openSync(file, "wx", 0o600), closeSync);
  const hash = createHash("sha256");
  const piece = new Uint8Array(SPOOLED_BYTES_MIN);
  let bytes = 0;
  while (bytes < size) {
    if (isCanceled()) return { error: "the job was canceled" };
    const read = readSync(source, piece, 0, Math.min(piece.length, size - bytes), bytes);
    if (read === 0) break;
    hash.update(piece.subarray(0, read));
    // A disk of the worker's that is full is no property of the file: the attempt fails, and another worker may have room.
    for (let written = 0; written < read;) written += writeSync(target, piece, written, read - written);
    bytes += read;
  }
  return { file, bytes, sha256: hash.digest("hex") };
}

function readWhole(descriptor: number, size: number): Uint8Array {
  const content = new Uint8Array(size);
  let length = 0;
  while (length < size) {
    const read = readSync(descriptor, content, length, size - length, length);
    if (read === 0) break;
    length += read;
  }
  return content.subarray(0, length);
}

function openError(errno: number): string {
  const name = errnoName(errno);
  switch (name) {
    case "ENOENT":
    case "ENOTDIR":
      return "no such file";
    case "ELOOP":
      return "a symbolic link is not a regular file";
    default:
      return `cannot be opened: ${name}`;
  }
}

function describe(status: Stats): string {
  if (status.isDirectory()) return "a directory";
  if (status.isFIFO()) return "a fifo";
  if (status.isSocket()) return "a socket";
  if (status.isSymbolicLink()) return "a symbolic link";
  return "a device";
}
