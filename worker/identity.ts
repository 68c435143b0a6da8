/**
 * What tells the workers of a machine apart: the user ids of their containers, which no two of them may share, whatever
 * their data directories and configuration are.
 *
 * All user ids are divided into blocks of 64 slots' ids. A block belongs to the worker that holds its lock file. The
 * kernel lets go of the lock when that worker ends, however it ends, and the next one takes the first free block, and
 * with it what its predecessor left: the same cgroup, which it sweeps. A worker with more slots takes several blocks in
 * a row; so does one whose LONGSHORE_ID_BASE lies inside of a block.
 *
 * Two workers may be started with different data directories, or in different cgroups. Were both killed and then got each
 * other's blocks, nobody would come upon what they left: so a worker takes a block first whose name it finds there.
 *
 *     /run/longshore/ids/448.lock    user ids 448 · 64 · 65536 to 449 · 64 · 65536 − 1, cgroup longshore/ids-448
 *     /run/longshore/ids/449.lock    the next
 *
 * Workers in different mount namespaces (containers of their own) see each other's locks only if they share
 * /run/longshore; else each needs a LONGSHORE_ID_BASE of its own.
 */
import { randomBytes } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { ID_RANGE_END, IDS_PER_SLOT } from "../shared/ids.ts";
import { FileLock } from "./images/lock.ts";

const IDS_PER_BLOCK = 64 * IDS_PER_SLOT;

/** On a file system that a reboot empties; only root may look in, for who can open a lock's file can hold it. */
const LOCK_DIRECTORY = "/run/longshore/ids";

const CGROUP_PREFIX = "ids-";

export interface IdentityOptions {
  /** The host's first id that containers may have. */
  readonly idBase: number;
  readonly slots: number;
  /** Names of cgroups ({@link WorkerIdentity.cgroupName}) of which predecessors may have left something. */
  readonly predecessors?: readonly string[];
  /** Where the locks are; the machine's when not given. */
  readonly lockDirectory?: string;
}

/** User ids that this process holds, and what follows from them. */
export class WorkerIdentity implements AsyncDisposable {
  /** Id in the registry of workers: new at each start, so that a successor is not taken for its predecessor. */
  readonly id: string;
  /** Name of the worker's cgroup: the same after a restart; no two workers of the machine have it at once. */
  readonly cgroupName: string;
  /** The host's first id of the worker's slot 0. */
  readonly idBase: number;
  readonly #locks: AsyncDisposableStack;

  private constructor(idBase: number, locks: AsyncDisposableStack) {
    const block = blockOf(idBase);
    this.id = `${hostname()}-${block}-${randomBytes(3).toString("hex")}`;
    this.cgroupName = `${CGROUP_PREFIX}${block}`;
    this.idBase = idBase;
    this.#locks = locks;
  }

  /**
   * Takes the first free block at or after `idBase`, or as many in a row as the slots need.
   * @throws when the user ids of all blocks are in use
   */
  static async take({ idBase, slots, predecessors = [], lockDirectory }: IdentityOptions): Promise<WorkerIdentity> {
    const directory = await openLockDirectory(lockDirectory);
    const ids = slots * IDS_PER_SLOT;
    for (const block of predecessors.map(blockNamed)) {
      if (block === undefined || block < blockOf(idBase)) continue;
      const first = Math.max(idBase, block * IDS_PER_BLOCK);
      if (first + ids > ID_RANGE_END) continue;
      await using locks = new AsyncDisposableStack();
      const taken = await takeBlocks(directory, block, blockOf(first + ids - 1), locks);
      if (taken === undefined) return new WorkerIdentity(first, locks.move());
    }
    let first = idBase;
    while (first + ids <= ID_RANGE_END) {
      await using locks = new AsyncDisposableStack();
      const taken = await takeBlocks(directory, blockOf(first), blockOf(first + ids - 1), locks);
      if (taken === undefined) return new WorkerIdentity(first, locks.move());
      first = (taken + 1) * IDS_PER_BLOCK;
    }
    throw new Error(`no user ids are left for ${slots} slots: stop another worker, or lower LONGSHORE_ID_BASE`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#locks.disposeAsync();
  }
}

/**
 * Makes sure that a cgroup of {@link WorkerIdentity.cgroupName} belongs to no living worker, and keeps it so until the
 * answer is disposed of; undefined when it does belong to one, or is no worker's at all.
 */
export async function lockAbandoned(cgroupName: string, lockDirectory?: string): Promise<AsyncDisposable | undefined> {
  const block = blockNamed(cgroupName);
  if (block === undefined) return undefined;
  return await FileLock.tryAcquire(lockPath(await openLockDirectory(lockDirectory), block));
}

/** The block that a cgroup is named after. */
function blockNamed(cgroupName: string): number | undefined {
  const block = cgroupName.startsWith(CGROUP_PREFIX) ? cgroupName.slice(CGROUP_PREFIX.length) : "";
  return /^\d+$/.test(block) ? Number(block) : undefined;
}

function blockOf(id: number): number {
  return Math.floor(id / IDS_PER_BLOCK);
}

function lockPath(directory: string, block: number): string {
  return join(directory, `${block}.lock`);
}

async function openLockDirectory(directory = LOCK_DIRECTORY): Promise<string> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  return directory;
}

/** Locks the blocks from `first` to `last`; answers the first of them that another worker has. */
async function takeBlocks(
  directory: string,
  first: number,
  last: number,
  locks: AsyncDisposableStack,
): Promise<number | undefined> {
  for (let block = first; block <= last; block++) {
    const lock = await FileLock.tryAcquire(lockPath(directory, block));
    if (lock === undefined) return block;
    locks.use(lock);
  }
  return undefined;
}
