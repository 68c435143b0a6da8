import { createReadStream } from "node:fs";
import { lstat, readdir, readlink } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { pack as createPack, type Pack } from "tar-stream";

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
export function packDirectory(directory: string): Readable {
  const pack = createPack();
  void addBelow(pack, directory, "").then(
    () => pack.finalize(),
    (error: unknown) => pack.destroy(error instanceof Error ? error : new Error(String(error))),
  );
  return Readable.from(pack);
}

async function addBelow(pack: Pack, directory: string, prefix: string): Promise<void> {
  for (const name of (await readdir(directory)).toSorted()) {
    const file = join(directory, name);
    if (name.startsWith(WHITEOUT_PREFIX)) throw new Error(`${file} cannot be packed: layers take .wh. for a deletion`);
    await add(pack, file, `${prefix}${name}`);
  }
}

async function add(pack: Pack, file: string, name: string): Promise<void> {
  const status = await lstat(file);
  const common = { ...OWNER, mtime: MTIME };
  if (status.isDirectory()) {
    pack.entry({ ...common, name: `${name}/`, type: "directory", mode: 0o755 });
    await addBelow(pack, file, `${name}/`);
  } else if (status.isSymbolicLink()) {
    pack.entry({ ...common, name, type: "symlink", linkname: await readlink(file), mode: 0o777 });
  } else if (status.isFile()) {
    const mode = (status.mode & 0o111) === 0 ? 0o644 : 0o755;
    // Exactly as many bytes as the header says: a file that grows meanwhile ends there, one that shrinks is an error.
    const entry = pack.entry({ ...common, name, type: "file", mode, size: status.size });
    await pipeline(status.size === 0 ? Readable.from([]) : createReadStream(file, { end: status.size - 1 }), entry);
  } else {
    throw new Error(`${file} cannot be packed: it is no file, directory or symbolic link`);
  }
}
