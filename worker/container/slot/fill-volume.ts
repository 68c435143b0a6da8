/**
 * An empty volume that is mounted over a directory with contents starts with a copy of them, as Docker's do.
 *
 * Containers of other slots, and of other workers of this machine, may mount the same volume at this moment, and their
 * programs may be hostile and have write access to it. So the copy is made once, under a lock, and in a directory of
 * the volume that nobody inside of a container can enter: its owner is an id that no container has.
 *
 *   VOLUME/.longshore-copy/tree    being copied; after a crash, removed
 *   VOLUME/.longshore-copy/ready   whole; its entries move up into the volume, after a crash by the next one
 *
 * While that directory is there, whoever mounts the volume waits for the lock: nobody starts with a part of the copy.
 */
import {
  closeSync,
  chmodSync,
  chownSync,
  constants as files,
  fchmodSync,
  fchownSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  opendirSync,
  readdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  type Stats,
} from "node:fs";
import { constants } from "node:os";
import { SystemCallError } from "../../linux/errno.ts";
import { flock } from "../../linux/flock.ts";
import { syncFileSystem } from "../../linux/files.ts";
import { copyTree } from "./copy-tree.ts";

const COPY = ".longshore-copy";

/** Beyond the ids that are mapped into any container, and the last one that is an id at all. */
const NOBODY = 0xffff_fffe;

/** What a file system has at its root is no content. */
const LOST_AND_FOUND = "lost+found";

/** On a file system that a reboot empties; only root may look in, for who can open a lock's file can hold it. */
const LOCK_DIRECTORY = "/run/longshore/volumes";

/**
 * Fills a volume if it is empty, and waits for those who are filling it.
 *
 * @param volume a descriptor of its directory, as the host sees it
 * @param source a descriptor of the directory that it will hide, as the host sees it; nothing changes it meanwhile
 * @param idBase the host's id of the container's root, whom files of `source` belong to that will be root's
 * @param isCanceled asked for every file: once it says so, the copy is given up
 * @throws {NodeJS.ErrnoException | SystemCallError} when the copy cannot be made, e.g. because the disk is full
 */
export function fillVolume(volume: number, source: number, idBase: number, isCanceled: () => boolean): void {
  // In this order: a copy that begins after the first look is no content, one that ends after it has left all of its own.
  // A directory of that name counts also when it does not look like ours: it may be about to.
  if (!isEmpty(volume, COPY) && copyStatus(volume) === undefined) return;
  using _lock = lockVolume(volume);
  recover(volume);
  if (!isEmpty(volume) || isEmpty(source)) return;

  using copy = makeCopyDirectory(volume);
  const [tree, ready] = [`${pathOf(copy.descriptor)}/tree`, `${pathOf(copy.descriptor)}/ready`];
  let isReady = false;
  try {
    mkdirSync(tree);
    if (copyTree(pathOf(source), tree, idBase, isCanceled) === "canceled") return;
    syncFileSystem(copy.descriptor);
    renameSync(tree, ready);
    isReady = true;
    moveUp(volume, copy.descriptor);
  } finally {
    // What is whole stays where a failure left it: the next one goes on with it.
    if (!isReady) discard(volume, copy.descriptor);
  }
}

/** Its path as long as the descriptor is open: whatever its name is by then. */
function pathOf(descriptor: number): string {
  return `/proc/self/fd/${descriptor}`;
}

function lockVolume(volume: number): Disposable {
  mkdirSync(LOCK_DIRECTORY, { recursive: true, mode: 0o700 });
  const { dev, ino } = fstatSync(volume, { bigint: true });
  const descriptor = openSync(`${LOCK_DIRECTORY}/${dev}-${ino}.lock`, "a", 0o600);
  const lock = { [Symbol.dispose]: () => closeSync(descriptor) };
  try {
    flock(descriptor, "exclusive");
    return lock;
  } catch (error) {
    lock[Symbol.dispose]();
    throw error;
  }
}

/** @param besides a name that does not count */
function isEmpty(directory: number, besides?: string): boolean {
  using entries = opendirSync(pathOf(directory), { bufferSize: 2 });
  for (let entry = entries.readSync(); entry !== null; entry = entries.readSync()) {
    if (entry.name !== LOST_AND_FOUND && entry.name !== besides) return false;
  }
  return true;
}

function copyStatus(volume: number): Stats | undefined {
  return lstatSync(`${pathOf(volume)}/${COPY}`, { throwIfNoEntry: false });
}

/** A program cannot give a directory of its own to an owner that no container has. */
function isOurs(status: Stats | undefined): boolean {
  return status?.isDirectory() === true && status.uid === NOBODY;
}

interface CopyDirectory extends Disposable {
  readonly descriptor: number;
}

function openCopyDirectory(volume: number): CopyDirectory {
  const flags = files.O_RDONLY | files.O_DIRECTORY | files.O_NOFOLLOW;
  const descriptor = openSync(`${pathOf(volume)}/${COPY}`, flags);
  return { descriptor, [Symbol.dispose]: () => closeSync(descriptor) };
}

function makeCopyDirectory(volume: number): CopyDirectory {
  mkdirSync(`${pathOf(volume)}/${COPY}`, { mode: 0o700 });
  const copy = openCopyDirectory(volume);
  try {
    fchownSync(copy.descriptor, NOBODY, NOBODY);
    fchmodSync(copy.descriptor, 0o700);
    // Before it was out of reach, root of another container could have put something there, or something else here.
    if (!isEmpty(copy.descriptor)) throw new SystemCallError("mkdirat", constants.errno.EBUSY);
    return copy;
  } catch (error) {
    copy[Symbol.dispose]();
    throw error;
  }
}

/** Finishes, or takes away, what a worker left that ended in the middle; a program's directory of that name stays. */
function recover(volume: number): void {
  const status = copyStatus(volume);
  if (status?.uid === 0) removeIfEmpty(volume);
  if (!isOurs(status)) return;
  using copy = openCopyDirectory(volume);
  if (!isOurs(fstatSync(copy.descriptor))) throw new SystemCallError("mkdirat", constants.errno.EBUSY);
  if (readdirSync(pathOf(copy.descriptor)).includes("ready")) moveUp(volume, copy.descriptor);
  else discard(volume, copy.descriptor);
}

/** The volume gets owner and permissions of what it hides, too: who could write there, can write here. */
function moveUp(volume: number, copy: number): void {
  const ready = `${pathOf(copy)}/ready`;
  const { uid, gid, mode } = lstatSync(ready);
  chownSync(pathOf(volume), uid, gid);
  chmodSync(pathOf(volume), mode & 0o1777);
  for (const name of readdirSync(ready, { encoding: "buffer" })) {
    const below = (directory: string): Buffer => Buffer.concat([Buffer.from(`${directory}/`), name]);
    renameSync(below(ready), below(pathOf(volume)));
  }
  discard(volume, copy);
}

/** It may be ours, from before it got its owner. */
function removeIfEmpty(volume: number): void {
  try {
    rmdirSync(`${pathOf(volume)}/${COPY}`);
  } catch {
    // It is a program's, with contents, or no directory.
  }
}

function discard(volume: number, copy: number): void {
  for (const name of readdirSync(pathOf(copy))) rmSync(`${pathOf(copy)}/${name}`, { recursive: true, force: true });
  rmdirSync(`${pathOf(volume)}/${COPY}`);
}
