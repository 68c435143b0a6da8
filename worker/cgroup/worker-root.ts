import { basename } from "node:path";
import { SystemCallError } from "../linux/errno.ts";
import type { HeldDirectory } from "../linux/held-directory.ts";
import type { CgroupFiles } from "./files.ts";
import { removeCgroup, removeUnlessUsed, subtree } from "./removal.ts";

/** The cgroup that holds those of all workers started in the same place. */
const PARENT = "longshore";

/**
 * A worker's own cgroup in one hierarchy. The worker holds it while it lives (see {@link HeldDirectory}).
 *
 * In each hierarchy for itself: of two workers that are in one place there, one may be elsewhere in another.
 */
export class WorkerRoot {
  /** The cgroup of all workers in this place. */
  readonly parent: string;
  readonly path: string;
  readonly #files: CgroupFiles;
  #held: HeldDirectory | undefined;

  /** @param own the cgroup that the worker was started in */
  constructor(files: CgroupFiles, own: string, worker: string) {
    this.parent = `${own}/${PARENT}`;
    this.path = `${this.parent}/${worker}`;
    this.#files = files;
  }

  /** Makes it and holds it; does nothing where that is done. @throws {Error} when another process holds it */
  hold(): void {
    this.#held ??= this.#files.hold(this.path, () => this.#make());
  }

  /**
   * Removes it and lets go of it.
   * @param sweep removes what is below it; called again while threads of this process still make something there
   */
  remove(sweep: () => void): void {
    removeCgroup(this.#files, this.path, sweep);
    removeUnlessUsed(this.#files, this.parent);
    this.#held?.[Symbol.dispose]();
    this.#held = undefined;
  }

  /** See `CgroupHierarchy.removeAbandoned`. @param kill sends SIGKILL to all that is in a cgroup and below it */
  removeAbandoned(isWorker: (name: string) => boolean, kill: (directory: string) => void): void {
    for (const directory of this.#files.children(this.parent)) {
      if (!isWorker(basename(directory))) continue;
      using held = this.#files.tryHold(directory);
      if (held === undefined) continue;
      const killAll = (): void => kill(directory);
      killAll();
      for (const found of subtree(this.#files, directory)) removeCgroup(this.#files, found, killAll);
    }
    removeUnlessUsed(this.#files, this.parent);
  }

  /** The parent goes with the last worker in it, which may be at this very moment. */
  #make(): void {
    for (;;) {
      ensureDirectory(this.#files, this.parent);
      try {
        // Who can open it could hold it.
        ensureDirectory(this.#files, this.path, 0o700);
        return;
      } catch (error) {
        if (!(error instanceof SystemCallError && error.errno === "ENOENT")) throw error;
      }
    }
  }
}

/** Makes a cgroup unless it exists. */
export function ensureDirectory(files: CgroupFiles, path: string, mode?: number): void {
  try {
    files.makeDirectory(path, mode);
  } catch (error) {
    if (!(error instanceof SystemCallError && error.errno === "EEXIST")) throw error;
  }
}

/** Ways out of what may stop a worker from making its cgroup, by error. */
const waysOut: Readonly<Record<string, string>> = {
  EACCES: "run the worker as root, or set Delegate=yes in its systemd unit",
  EPERM: "run the worker as root, or set Delegate=yes in its systemd unit",
  EROFS: "give the worker's container a writable cgroup file system (docker: --privileged --cgroupns=private)",
  EBUSY:
    "the worker's cgroup has processes that cannot be moved: start the worker in a cgroup of its own with " +
    "systemd-run --scope -p Delegate=yes, or set Delegate=yes in its systemd unit",
  ENOSPC: "too many cgroups: remove some, or raise cgroup.max.descendants",
};

/** Does set-up work; a failure gets the way out added. */
export function explain(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
    const wayOut = waysOut[error.errno];
    if (wayOut === undefined) throw error;
    throw new Error(`cannot set the worker's cgroup up: ${error.message}: ${wayOut}`, { cause: error });
  }
}
