/**
 * What tells the workers of a machine apart: their names, of which no two were ever the same, and the user ids of their
 * containers, which no two may share at once, whatever their data directories and configuration are.
 *
 * All user ids are divided into blocks of 64 slots' ids. A block belongs to the worker that holds its lock file. The
 * kernel lets go of the lock when that worker ends, however it ends, and the next one takes the first free block. A
 * worker with more slots takes several blocks in a row; so does one whose LONGSHORE_ID_BASE lies inside of a block.
 *
 *     /run/longshore/ids/448.lock    user ids 448 · 64 · 65536 to 449 · 64 · 65536 − 1
 *     /run/longshore/ids/449.lock    the next
 *
 * Workers in different mount namespaces (containers of their own) see each other's locks only if they share
 * /run/longshore; else each needs a LONGSHORE_ID_BASE of its own.
 *
 * What a worker leaves when it is killed has its name: cgroups and a spool. That the machine's next worker gets the same
 * user ids says nothing about them, for it may have been started in another cgroup, with another data directory. So each
 * of them is held by itself while its worker lives (`HeldDirectory`), and removed by the first who starts beside it after
 * that, whatever ids that one has.
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

const NAME = /^worker-\d+-[0-9a-f]{6}$/;

export interface IdentityOptions {
  /** The host's first id that containers may have. */
  readonly idBase: number;
  readonly slots: number;
  /** Where the locks are; the machine's when not given. */
  readonly lockDirectory?: string;
}

/** A name, and user ids that this process holds. */
export class WorkerIdentity implements AsyncDisposable {
  /** Id in the registry of workers, of all machines. */
  readonly id: string;
  /** Name of what it has on this machine: its cgroups, its spool. New at each start, as the id is. */
  readonly name: string;
  /** The host's first id of the worker's slot 0. */
  readonly idBase: number;
  readonly #locks: AsyncDisposableStack;

  private constructor(idBase: number, locks: AsyncDisposableStack) {
    const suffix = `${blockOf(idBase)}-${randomBytes(3).toString("hex")}`;
    this.id = `${hostname()}-${suffix}`;
    this.name = `worker-${suffix}`;
    this.idBase = idBase;
    this.#locks = locks;
  }

  /**
   * Takes the first free block at or after `idBase`, or as many in a row as the slots need.
   * @throws when the user ids of all blocks are in use
   */
  static async take({ idBase, slots, lockDirectory = LOCK_DIRECTORY }: IdentityOptions): Promise<WorkerIdentity> {
    await mkdir(lockDirectory, { recursive: true, mode: 0o700 });
    const ids = slots * IDS_PER_SLOT;
    let first = idBase;
    while (first + ids <= ID_RANGE_END) {
      await using locks = new AsyncDisposableStack();
      const taken = await takeBlocks(lockDirectory, blockOf(first), blockOf(first + ids - 1), locks);
      if (taken === undefined) return new WorkerIdentity(first, locks.move());
      first = (taken + 1) * IDS_PER_BLOCK;
    }
    throw new Error(`no user ids are left for ${slots} slots: stop another worker, or lower LONGSHORE_ID_BASE`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#locks.disposeAsync();
  }
}

/** Whether something that is found on this machine was named after a worker ({@link WorkerIdentity.name}). */
export function isWorkerName(name: string): boolean {
  return NAME.test(name);
}

function blockOf(id: number): number {
  return Math.floor(id / IDS_PER_BLOCK);
}

/** Locks the blocks from `first` to `last`; answers the first of them that another worker has. */
async function takeBlocks(
  directory: string,
  first: number,
  last: number,
  locks: AsyncDisposableStack,
): Promise<number | undefined> {
  for (let block = first; block <= last; block++) {
    const lock = await FileLock.tryAcquire(join(directory, `${block}.lock`));
    if (lock === undefined) return block;
    locks.use(lock);
  }
  return undefined;
}
