/**
 * Finds the files that patterns name in a tree that a stranger made, as large, as deep and as oddly named as it may be.
 *
 * Every directory is opened below its parent's descriptor and read as bytes, entry by entry; one in which no pattern can
 * match is not opened at all. What can be looked at is bounded in entries and in steps of matching, and the walk ends
 * when the job is canceled: the slot's thread does nothing else meanwhile.
 */
import { isUtf8 } from "node:buffer";
import { closeSync, opendirSync } from "node:fs";
import { describeRelativePathFault } from "../../../shared/paths/faults.ts";
import { advance, canMatchBelow, type Candidates, isMatch } from "../../../shared/paths/glob.ts";
import { O } from "../../linux/constants.ts";
import { errnoName } from "../../linux/errno.ts";
import type { FileName } from "../../linux/files.ts";
import { openBelow } from "../../linux/open.ts";

/** A program can make millions of entries in a few seconds. */
const ENTRIES_MAX = 100_000;
/** Steps of matching; one takes some nanoseconds. One more entry costs up to 70 million where every pattern is the worst. */
const STEPS_MAX = 100_000_000;

/** Something that was asked for, by its path from the working directory, or why it cannot be returned. */
export type Found =
  /** To be opened as `name` below `directory`, which is open until the next one is asked for. */
  | { readonly kind: "file"; readonly path: string; readonly directory: number; readonly name: string | FileName }
  | { readonly kind: "left out"; readonly path: string; readonly error: string };

/** Walks a tree, in the order of the names' bytes; anything but a directory is a file here. */
export function* walkOutputs(
  directory: number,
  candidates: Candidates,
  isCanceled: () => boolean,
): Generator<Found, void> {
  const walk = new OutputWalk(isCanceled);
  yield* walk.below(directory, "", candidates);
  const { shortfall } = walk;
  if (shortfall !== undefined) yield { kind: "left out", path: shortfall.path || ".", error: shortfall.reason };
}

/** An entry of a directory; the name's bytes, as characters of the same codes. */
interface Entry {
  readonly name: string;
  readonly isDirectory: boolean;
}

class OutputWalk {
  readonly #isCanceled: () => boolean;
  readonly #work = { steps: 0 };
  #entries = 0;
  /** The directory in which a bound was reached first, and which one; empty for where the walk began. */
  shortfall: { readonly path: string; readonly reason: string } | undefined;

  constructor(isCanceled: () => boolean) {
    this.#isCanceled = isCanceled;
  }

  *below(directory: number, prefix: string, candidates: Candidates): Generator<Found, void> {
    for (const entry of this.#list(directory, prefix)) {
      if (this.#mustStop(prefix)) return;
      const name = Buffer.from(entry.name, "latin1");
      const text = name.toString();
      const reached = advance(candidates, text, this.#work);
      if (!(entry.isDirectory ? canMatchBelow(reached) : isMatch(reached))) continue;

      const path = prefix === "" ? text : `${prefix}/${text}`;
      const fault = isUtf8(name) ? describeRelativePathFault(path) : "is not valid utf-8";
      if (fault !== undefined) {
        yield { kind: "left out", path, error: `the path ${fault}: name it otherwise` };
      } else if (entry.isDirectory) {
        yield* this.#descend(directory, name, path, reached);
      } else {
        yield { kind: "file", path, directory, name: terminated(name) };
      }
    }
  }

  *#descend(parent: number, name: Buffer, path: string, candidates: Candidates): Generator<Found, void> {
    if (this.#isFull(path)) return;
    const directory = openBelow(parent, terminated(name), O.O_RDONLY | O.O_DIRECTORY, "no symlinks");
    if (directory < 0) {
      yield { kind: "left out", path, error: `cannot be opened: ${errnoName(-directory)}` };
      return;
    }
    using descriptors = new DisposableStack();
    descriptors.adopt(directory, closeSync);
    yield* this.below(directory, path, candidates);
  }

  /** Reads a directory, as far as the bounds allow. */
  #list(directory: number, path: string): Entry[] {
    const entries: Entry[] = [];
    using reader = opendirSync(`/proc/self/fd/${directory}`, { encoding: "latin1" });
    for (let entry = reader.readSync(); entry !== null; entry = reader.readSync()) {
      if (this.#isFull(path) || this.#mustStop(path)) break;
      this.#entries++;
      entries.push({ name: entry.name, isDirectory: entry.isDirectory() });
    }
    return entries.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** No more entries can be read; those that were are still looked at. */
  #isFull(path: string): boolean {
    const isFull = this.#entries === ENTRIES_MAX;
    if (isFull) this.shortfall ??= { path, reason: `more than ${ENTRIES_MAX} entries: the rest is left out` };
    return isFull;
  }

  /** Nothing more is to be done. */
  #mustStop(path: string): boolean {
    if (this.#isCanceled()) {
      this.shortfall = { path, reason: "the job was canceled: the rest is left out" };
      return true;
    }
    if (this.#work.steps <= STEPS_MAX) return false;
    this.shortfall ??= { path, reason: "the patterns take too long to match: the rest is left out" };
    return true;
  }
}

function terminated(name: Buffer): FileName {
  return Buffer.concat([name, Buffer.from([0])]);
}
