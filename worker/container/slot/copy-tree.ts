import {
  chmodSync,
  constants,
  copyFileSync,
  lchownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  type Stats,
  symlinkSync,
} from "node:fs";

/** A name that may be no UTF-8. */
type Path = string | Buffer;

/**
 * Copies what is below a directory of an image: files, directories, symlinks and hard links with owner, permissions and
 * mtime. Devices, FIFOs, sockets, set-id bits and extended attributes are left out: a volume is data, and users of the
 * host may be able to reach it.
 *
 * @param source nothing changes in it
 * @param target a directory that nobody else can enter; it gets the attributes of `source`, too
 * @param idBase what is taken off owners: the host's id of the container's root
 * @param isCanceled asked for every file
 */
export function copyTree(source: Path, target: Path, idBase: number, isCanceled: () => boolean): "copied" | "canceled" {
  const links = new Map<string, Path>();

  function copyDirectory(from: Path, to: Path, status: Stats): boolean {
    for (const name of readdirSync(from, { encoding: "buffer" })) {
      if (isCanceled() || !copyEntry(join(from, name), join(to, name))) return false;
    }
    describe(to, status);
    return true;
  }

  function copyEntry(from: Path, to: Path): boolean {
    const status = lstatSync(from);
    if (status.isDirectory()) {
      mkdirSync(to, { mode: 0o700 });
      return copyDirectory(from, to, status);
    }
    const inode = `${status.dev}:${status.ino}`;
    const first = links.get(inode);
    if (first !== undefined) {
      linkSync(first, to);
      return true;
    }
    if (status.isSymbolicLink()) symlinkSync(readlinkSync(from, { encoding: "buffer" }), to);
    else if (status.isFile()) copyFileSync(from, to, constants.COPYFILE_EXCL);
    else return true;
    if (status.nlink > 1) links.set(inode, to);
    describe(to, status);
    return true;
  }

  function describe(path: Path, { uid, gid, mode, mtime }: Stats): void {
    lchownSync(path, withoutBase(uid), withoutBase(gid));
    lutimesSync(path, mtime, mtime);
    if (!lstatSync(path).isSymbolicLink()) chmodSync(path, mode & 0o1777);
  }

  /** What is not the container's is the host's root's, which made a directory here and there on the way. */
  function withoutBase(id: number): number {
    return id < idBase ? 0 : id - idBase;
  }

  // The path of a descriptor is a link, and the directory is behind it.
  return copyDirectory(join(source, Buffer.from(".")), target, lstatSync(join(source, Buffer.from("."))))
    ? "copied"
    : "canceled";
}

function join(directory: Path, name: Buffer): Buffer {
  return Buffer.concat([Buffer.from(directory), Buffer.from("/"), name]);
}
