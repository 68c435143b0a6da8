import { createReadStream } from "node:fs";
import { readlink } from "node:fs/promises";
import { basename } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { pack as createPack, type Pack } from "tar-stream";
import { type Selection, type TreeEntry, walkDirectory } from "./directory-tree.ts";

/** The same for everybody: a layer's files belong to its job's user anyway. */
const OWNER = { uid: 0, gid: 0 } as const;

/** The same files are to be the same blob, whenever they were checked out. */
const MTIME = new Date(0);

/** Names that a layer takes for deletions of files below. */
const WHITEOUT_PREFIX = ".wh.";

/**
 * Packs a directory into a tar, as it comes: files with their executable bit, directories, symbolic links, in the order
 * of their names. Whoever packs the same files gets the same bytes.
 * @returns a stream that fails for what is none of these, and for files that cannot be read
 */
export function packDirectory(directory: string, selection: Selection): Readable {
  const pack = createPack();
  void addAll(pack, walkDirectory(directory, selection)).then(
    () => pack.finalize(),
    (error: unknown) => pack.destroy(error instanceof Error ? error : new Error(String(error))),
  );
  return Readable.from(pack);
}

async function addAll(pack: Pack, entries: AsyncIterable<TreeEntry>): Promise<void> {
  for await (const entry of entries) await add(pack, entry);
}

async function add(pack: Pack, { path, file, status }: TreeEntry): Promise<void> {
  if (basename(path).startsWith(WHITEOUT_PREFIX)) {
    throw new Error(`${file} cannot be packed: layers take .wh. for a deletion`);
  }
  const common = { ...OWNER, mtime: MTIME };
  if (status.isDirectory()) {
    pack.entry({ ...common, name: `${path}/`, type: "directory", mode: 0o755 });
  } else if (status.isSymbolicLink()) {
    pack.entry({ ...common, name: path, type: "symlink", linkname: await readlink(file), mode: 0o777 });
  } else if (status.isFile()) {
    const mode = (status.mode & 0o111) === 0 ? 0o644 : 0o755;
    // Exactly as many bytes as the header says: a file that grows meanwhile ends there, one that shrinks is an error.
    const entry = pack.entry({ ...common, name: path, type: "file", mode, size: status.size });
    await pipeline(status.size === 0 ? Readable.from([]) : createReadStream(file, { end: status.size - 1 }), entry);
  } else {
    throw new Error(`${file} cannot be packed: it is no file, directory or symbolic link`);
  }
}
