import { constants } from "node:os";
import { DEFAULT_USER } from "../init-layer.ts";
import type { ContainerSpec, InputFile } from "../spec.ts";
import { bytes, mode, resultOf, string } from "./arguments.ts";
import type { SlotFacts } from "./facts.ts";
import { within } from "./mounting.ts";
import { type Control, type DescriptorArgument, type Step, type StepWriter, writeSteps } from "./step.ts";
import type { UnionMount } from "./union-mount.ts";

/** Where the job's files go: a directory, and the path of the working directory below it. */
interface WorkTree {
  readonly base: DescriptorArgument;
  /** Components below `base`; empty when `base` is the working directory. */
  readonly path: readonly string[];
  /** Whether `base` is the container's root, which has {@link WORK}. */
  readonly isRoot: boolean;
}

/** The init layer's directory for jobs: on every root, and the default user's. */
const WORK = "work";

/** To whom what is made belongs. */
interface Owner {
  /** The host's. */
  readonly uid: number;
  readonly gid: number;
  readonly isDefaultUser: boolean;
}

const unlessThere: Control = { kind: "may fail", errno: constants.errno.EEXIST };

/**
 * Makes the working directory and writes the job's files into it, all owned by the run's user.
 *
 * @returns the working directory, which stays open: a program may put a symlink in its place, or above it, and what it
 *   leads to would be read with the slot's rights. Undefined where nothing is written, see {@link workTree}.
 */
export function writeFiles(
  steps: Step[],
  spec: ContainerSpec,
  slot: Pick<SlotFacts, "idBase">,
  mounts: UnionMount,
): DescriptorArgument | undefined {
  // The step of a build starts where its Dockerfile says; the directory is the image's, and keeps its owner.
  const tree = spec.build === undefined ? workTree(spec, mounts) : undefined;
  if (tree === undefined) return undefined;
  const step = writeSteps(steps, "slot", "files");
  const uid = slot.idBase + spec.user.uid;
  const gid = slot.idBase + spec.user.gid;
  const isDefaultUser = spec.user.uid === DEFAULT_USER.uid && spec.user.gid === DEFAULT_USER.gid;
  const owner = { uid, gid, isDefaultUser };
  if (spec.rootfs === "writable") {
    for (const path of spec.directories ?? []) {
      const made = new DirectoryPath(step, belowRoot(path, mounts), owner);
      made.enter([]);
      step("close", made.leave());
    }
  }
  const directories = new DirectoryPath(step, tree, owner);
  directories.enter([]);
  for (const file of spec.files.toSorted(byPath)) {
    const components = file.path.split("/");
    directories.enter(components.slice(0, -1));
    // Without O_NONBLOCK, a FIFO that an image has in this place would keep the slot waiting for a reader.
    const openFlags = ["O_WRONLY", "O_CREAT", "O_TRUNC", "O_NONBLOCK", "O_CLOEXEC"] as const;
    const open = within(openFlags, file.executable ? 0o755 : 0o644);
    const path = [...tree.path, ...components].join("/");
    const descriptor = resultOf(step("openat2", tree.base, string(path), ...open));
    const length = file.content.byteLength;
    if (length > 0) {
      // A file system that fills up in the middle makes a short write, not an error.
      const content = bytes(`${length} bytes`, file.content);
      step.controlled({ kind: "must return", value: length }, "write", descriptor, content, length);
    }
    step("fchown", descriptor, uid, gid);
    // An executable that is open for writing cannot be executed (ETXTBSY).
    step("close", descriptor);
  }
  return directories.leave();
}

/** In this order, a directory is entered once: all that is below it comes in one go. */
function byPath(one: InputFile, other: InputFile): number {
  return one.path < other.path ? -1 : 1;
}

/**
 * The directories from the base of a tree to where the next file goes, made where they are missing. They are open for no
 * longer than that, so that a job with thousands of directories takes as many descriptors as its deepest path is long.
 */
class DirectoryPath {
  readonly #step: StepWriter;
  readonly #tree: WorkTree;
  readonly #owner: Owner;
  readonly #open: { readonly name: string; readonly descriptor: DescriptorArgument }[] = [];

  constructor(step: StepWriter, tree: WorkTree, owner: Owner) {
    this.#step = step;
    this.#tree = tree;
    this.#owner = owner;
  }

  /** Goes to a directory below the working directory. */
  enter(below: readonly string[]): void {
    const path = [...this.#tree.path, ...below];
    const common = this.#open.findIndex(({ name }, depth) => name !== path[depth]);
    this.#closeFrom(common === -1 ? Math.min(this.#open.length, path.length) : common);
    for (const name of path.slice(this.#open.length)) this.#descend(name);
  }

  /** Closes all but the working directory, and returns that. */
  leave(): DescriptorArgument {
    this.enter([]);
    const last = this.#open.pop();
    this.#closeFrom(0);
    return last?.descriptor ?? this.#tree.base;
  }

  #descend(name: string): void {
    const { base, isRoot } = this.#tree;
    const isWork = isRoot && this.#open.length === 0 && name === WORK;
    const parent = this.#open.at(-1)?.descriptor ?? base;
    if (!isWork) this.#step.controlled(unlessThere, "mkdirat", parent, string(name), mode(0o755));
    const path = [...this.#open.map((directory) => directory.name), name].join("/");
    // From the base, within it: an image may ship a symlink anywhere.
    const open = within(["O_RDONLY", "O_DIRECTORY", "O_CLOEXEC"]);
    const descriptor = resultOf(this.#step("openat2", base, string(path), ...open));
    this.#open.push({ name, descriptor });
    const isGiven = this.#open.length < this.#tree.path.length;
    const isTheirs = isWork && this.#owner.isDefaultUser;
    if (!isGiven && !isTheirs) this.#step("fchown", descriptor, this.#owner.uid, this.#owner.gid);
  }

  #closeFrom(depth: number): void {
    for (const { descriptor } of this.#open.splice(depth).toReversed()) this.#step("close", descriptor);
  }
}

/**
 * Under a read-only root only /work can be written to; a working directory elsewhere has to exist in the image.
 * @returns undefined where there is nothing to write to
 */
function workTree(spec: ContainerSpec, mounts: UnionMount): WorkTree | undefined {
  if (spec.rootfs === "writable") return belowRoot(spec.workingDirectory, mounts);
  const path = componentsOf(spec.workingDirectory);
  if (path[0] !== WORK) return undefined;
  return { base: resultOf(mounts.scratch), path: path.slice(1), isRoot: false };
}

function belowRoot(path: string, mounts: UnionMount): WorkTree {
  return { base: resultOf(mounts.root), path: componentsOf(path), isRoot: true };
}

function componentsOf(path: string): string[] {
  return path.split("/").filter((component) => component !== "");
}
