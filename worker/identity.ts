/**
 * What tells the workers apart that share a machine, and perhaps a data directory: a number.
 *
 * A number belongs to the worker that holds its lock file. The kernel lets go of the lock when that worker ends,
 * however it ends, and the next one takes the lowest free number, and with it what its predecessor left: the same
 * cgroup, which it sweeps, and the same user ids. A number stands for the ids of 64 slots; a worker with more slots
 * takes several numbers in a row.
 *
 *   <data>/workers/0.lock    user ids from idBase
 *   <data>/workers/1.lock    user ids from idBase + 64 · 65536
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdir, realpath } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { ID_RANGE_END, IDS_PER_SLOT } from "../shared/ids.ts";
import { FileLock } from "./images/lock.ts";

const SLOTS_PER_NUMBER = 64;
const IDS_PER_NUMBER = SLOTS_PER_NUMBER * IDS_PER_SLOT;

/** Numbers that this process holds, and what follows from them. */
export class WorkerIdentity implements AsyncDisposable {
  /** Id in the registry of workers: new at each start, so that a successor is not taken for its predecessor. */
  readonly id: string;
  /** Name of the worker's cgroup: the same after a restart, another one for each data directory. */
  readonly cgroupName: string;
  /** The host's first id of the worker's slot 0. */
  readonly idBase: number;
  readonly #locks: AsyncDisposableStack;

  private constructor(number: number, dataDirectory: string, idBase: number, locks: AsyncDisposableStack) {
    this.id = `${hostname()}-${number}-${randomBytes(3).toString("hex")}`;
    this.cgroupName = `${createHash("sha256").update(dataDirectory).digest("hex").slice(0, 12)}-${number}`;
    this.idBase = idBase + number * IDS_PER_NUMBER;
    this.#locks = locks;
  }

  /**
   * Takes the lowest free number, or as many in a row as the slots need.
   * @param idBase the host's first id of number 0
   * @throws when the user ids of all numbers are in use
   */
  static async take(dataDirectory: string, idBase: number, slots: number): Promise<WorkerIdentity> {
    const directory = join(dataDirectory, "workers");
    await mkdir(directory, { recursive: true });
    const path = await realpath(dataDirectory);
    const wanted = Math.ceil(slots / SLOTS_PER_NUMBER);
    let first = 0;
    while (idBase + first * IDS_PER_NUMBER + slots * IDS_PER_SLOT <= ID_RANGE_END) {
      await using locks = new AsyncDisposableStack();
      const held = await takeNumbers(directory, first, wanted, locks);
      if (held === wanted) return new WorkerIdentity(first, path, idBase, locks.move());
      first += held + 1;
    }
    throw new Error(`no user ids are left for ${slots} slots: stop another worker, or lower LONGSHORE_ID_BASE`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#locks.disposeAsync();
  }
}

/** Locks numbers from `first` on until one is taken or there are enough; answers how many it locked. */
async function takeNumbers(
  directory: string,
  first: number,
  wanted: number,
  locks: AsyncDisposableStack,
): Promise<number> {
  for (let held = 0; held < wanted; held++) {
    const lock = await FileLock.tryAcquire(join(directory, `${first + held}.lock`));
    if (lock === undefined) return held;
    locks.use(lock);
  }
  return wanted;
}
