import { closeSync, constants, fstatSync, mkdirSync, openSync, statSync } from "node:fs";
import { tryFlock } from "./flock.ts";

/** How long somebody who sweeps may have a directory that is being made: it is empty, and quickly removed. */
const DEADLINE_MS = 10_000;

const clock = new Int32Array(new SharedArrayBuffer(4));

/**
 * A directory that a process holds for as long as it lives.
 *
 * Processes leave directories when they are killed, and whoever comes upon one has to know whether it is still in use.
 * So its maker locks the directory itself (flock(2)), on whatever file system it is, that of cgroups included. The
 * kernel lets go of the lock when the maker ends, however it ends; and there is no other file that would have to be found
 * by the directory's name, in a place that all share, and be removed with it. What the maker executes does not inherit it.
 *
 * Only who holds a directory removes it. Two things can come in between all the same:
 *
 *     maker     mkdir                      flock: refused, look again
 *     sweeper          open  flock  rmdir
 *
 *     maker     mkdir  open                flock: granted, but what it has is not there any more: make it again
 *     sweeper               flock  rmdir
 *
 * In the second case the maker may as well be another sweeper, who then has nothing more to do.
 */
export class HeldDirectory implements Disposable {
  readonly #descriptor: number;

  private constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  /**
   * Makes a directory and holds it. Blocks the thread, which takes no time worth mentioning unless another process
   * lives in there.
   * @param make makes it unless it is there; by default with a right to open it, and so to hold it, for nobody else
   * @throws {Error} when it is somebody else's
   */
  static make(path: string, make = (): void => ensureDirectory(path)): HeldDirectory {
    const deadline = performance.now() + DEADLINE_MS;
    for (let pauseMs = 0.1; ; pauseMs = Math.min(10, pauseMs * 2)) {
      make();
      const held = HeldDirectory.tryHold(path);
      if (held !== undefined) return held;
      if (performance.now() > deadline) throw new Error(`${path} is held by another process: end that one first`);
      Atomics.wait(clock, 0, 0, pauseMs);
    }
  }

  /** Holds a directory whose maker has ended; undefined when it has not, or when the directory is gone. */
  static tryHold(path: string): HeldDirectory | undefined {
    const descriptor = openIfPresent(path);
    if (descriptor === undefined) return undefined;
    let isHeld = false;
    try {
      isHeld = tryFlock(descriptor, "exclusive") && isAt(descriptor, path);
      return isHeld ? new HeldDirectory(descriptor) : undefined;
    } finally {
      if (!isHeld) closeSync(descriptor);
    }
  }

  /** Lets go of it. To be called once: the descriptor may be another file's afterwards. */
  [Symbol.dispose](): void {
    closeSync(this.#descriptor);
  }
}

/** Not as mkdirSync does with `recursive`, which fails when the directory that it has found is removed at this moment. */
function ensureDirectory(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  }
}

function openIfPresent(path: string): number | undefined {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

function isAt(descriptor: number, path: string): boolean {
  const own = fstatSync(descriptor, { bigint: true });
  const there = statSync(path, { bigint: true, throwIfNoEntry: false });
  return own.ino === there?.ino && own.dev === there.dev;
}
