import { constants } from "node:os";
import type { ContainerSpec } from "../spec.ts";
import { bytes, mode, resultOf, string } from "./arguments.ts";
import type { SlotFacts } from "./facts.ts";
import { within } from "./mounting.ts";
import { type Control, type DescriptorArgument, type Step, writeSteps } from "./step.ts";
import type { UnionMount } from "./union-mount.ts";

/** Where the job's files go: a directory, and the path of the working directory below it. */
export interface WorkTree {
  readonly base: DescriptorArgument;
  /** Components below `base`; empty when `base` is the working directory. */
  readonly path: readonly string[];
}

const unlessThere: Control = { kind: "may fail", errno: constants.errno.EEXIST };

/** Makes the working directory and writes the job's files into it, all owned by the run's user. */
export function writeFiles(steps: Step[], spec: ContainerSpec, slot: SlotFacts, mounts: UnionMount): void {
  // The step of a build starts where its Dockerfile says; the directory is the image's, and keeps its owner.
  const tree = spec.build === undefined ? workTree(spec, mounts) : undefined;
  if (tree === undefined) return;
  const step = writeSteps(steps, "slot", "files");
  const uid = slot.idBase + spec.user.uid;
  const gid = slot.idBase + spec.user.gid;
  const opened = new Map<string, DescriptorArgument>([["", tree.base]]);

  // Each directory is opened from the base, within it: an image may ship a symlink anywhere.
  const directory = (components: readonly string[]): DescriptorArgument => {
    const path = components.join("/");
    const known = opened.get(path);
    if (known !== undefined) return known;
    const parent = directory(components.slice(0, -1));
    step.controlled(unlessThere, "mkdirat", parent, string(components.at(-1) ?? ""), mode(0o755));
    const descriptor = resultOf(
      step("openat2", tree.base, string(path), ...within(["O_RDONLY", "O_DIRECTORY", "O_CLOEXEC"])),
    );
    opened.set(path, descriptor);
    if (components.length >= tree.path.length) step("fchown", descriptor, uid, gid);
    return descriptor;
  };

  directory(tree.path);
  for (const file of spec.files) {
    const components = [...tree.path, ...file.path.split("/")];
    directory(components.slice(0, -1));
    const open = within(["O_WRONLY", "O_CREAT", "O_TRUNC", "O_CLOEXEC"], file.executable ? 0o755 : 0o644);
    const descriptor = resultOf(step("openat2", tree.base, string(components.join("/")), ...open));
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
}

/**
 * Under a read-only root only /work can be written to; a working directory elsewhere has to exist in the image.
 * @returns undefined where there is nothing to write to
 */
export function workTree(spec: ContainerSpec, mounts: UnionMount): WorkTree | undefined {
  const path = spec.workingDirectory.split("/").filter((component) => component !== "");
  if (spec.rootfs === "writable") return { base: resultOf(mounts.root), path };
  if (path[0] !== "work") return undefined;
  return { base: resultOf(mounts.scratch), path: path.slice(1) };
}
