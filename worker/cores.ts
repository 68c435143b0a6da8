/**
 * Cores of their own for the slots of a worker, so that busy slots do not disturb each other.
 *
 * As with user ids (identity.ts), no two workers of a machine may have the same: a core belongs to the worker that holds
 * its lock file, and the kernel lets go of the lock when that worker ends, however it ends.
 *
 *     /run/longshore/cores/0.lock      the core that Linux calls 0
 *     /run/longshore/cores/turn.lock   held while cores are chosen: two workers that each have half of them help nobody
 *
 * A worker whose slots cannot all have one gives them none, and the kernel moves containers to where there is time.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Config } from "../shared/config.ts";
import type { CgroupLayout } from "./cgroup/detect.ts";
import { type Cores, findCores } from "./cgroup/cpuset/cores.ts";
import { type CoreOrder, divideCores } from "./cgroup/cpuset/divide.ts";
import { FileLock } from "./images/lock.ts";

/** On a file system that a reboot empties; only root may look in, for who can open a lock's file can hold it. */
const LOCK_DIRECTORY = "/run/longshore/cores";

/** Which cores the containers of a worker get. */
export type CoreChoice =
  | {
      readonly kind: "divided";
      /** By the index of the slot, see `divideCores`. */
      readonly orders: readonly CoreOrder[];
      readonly memoryNodes: string;
    }
  | {
      readonly kind: "shared";
      /** Why no slot has a core of its own. */
      readonly reason: string;
    };

/** What decides how cores can be divided, besides other workers. */
export interface CoreCircumstances extends Pick<Config, "cpuset" | "slots"> {
  readonly layout: CgroupLayout;
  /** Those that this process may use, when not given. */
  readonly cores?: Cores;
}

/** How cores are divided where no other worker has any. */
export function chooseCores({ cpuset, slots, layout, cores = findCores() }: CoreCircumstances): CoreChoice {
  const { order, memoryNodes } = cores;
  if (cpuset === "none") return { kind: "shared", reason: "LONGSHORE_CPUSET is none" };
  if (layout.cpuset === undefined) return { kind: "shared", reason: "the cgroup controller cpuset is not there" };
  if (order.length < slots)
    return { kind: "shared", reason: `there are ${slots} slots, and cores ${order.join(", ")}` };
  return { kind: "divided", orders: divideCores(order.slice(0, slots), order.slice(slots)), memoryNodes };
}

/** Cores that this process holds. */
export class CoreLease implements AsyncDisposable {
  readonly choice: CoreChoice;
  readonly #locks: AsyncDisposableStack;

  private constructor(choice: CoreChoice, locks: AsyncDisposableStack) {
    this.choice = choice;
    this.#locks = locks;
  }

  /** Takes a core for each slot that no other worker has, or none. @param lockDirectory the machine's when not given */
  static async take(circumstances: CoreCircumstances, lockDirectory = LOCK_DIRECTORY): Promise<CoreLease> {
    const { slots, cores = findCores() } = circumstances;
    await using locks = new AsyncDisposableStack();
    const alone = chooseCores({ ...circumstances, cores });
    if (alone.kind === "shared") return new CoreLease(alone, locks.move());

    await mkdir(lockDirectory, { recursive: true, mode: 0o700 });
    await using _turn = await FileLock.acquire(join(lockDirectory, "turn.lock"));
    const [own, taken]: [number[], number[]] = [[], []];
    for (const core of cores.order) {
      if (own.length === slots) break;
      const lock = await FileLock.tryAcquire(join(lockDirectory, `${core}.lock`));
      if (lock === undefined) {
        taken.push(core);
        continue;
      }
      locks.use(lock);
      own.push(core);
    }
    if (own.length < slots) {
      const reason = `other workers of this machine have cores ${taken.join(", ")}`;
      return new CoreLease({ kind: "shared", reason }, new AsyncDisposableStack());
    }
    const spare = cores.order.filter((core) => !own.includes(core) && !taken.includes(core));
    const { memoryNodes } = cores;
    return new CoreLease({ kind: "divided", orders: divideCores(own, spare, taken), memoryNodes }, locks.move());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#locks.disposeAsync();
  }
}
