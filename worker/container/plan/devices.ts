import { AT, MOUNT_ATTR, S } from "../../linux/constants.ts";
import { flags, mode, resultOf, string, words } from "./arguments.ts";
import type { SlotFacts } from "./facts.ts";
import { attach, cloneDirectory, mountTmpfs, moveToPath } from "./mounting.ts";
import { type Argument, type DescriptorArgument, type Step, writeSteps } from "./step.ts";

/** The devices of every container, as in the OCI runtime specification without the terminal ones. */
const DEVICES = [
  { name: "null", major: 1, minor: 3 },
  { name: "zero", major: 1, minor: 5 },
  { name: "full", major: 1, minor: 7 },
  { name: "random", major: 1, minor: 8 },
  { name: "urandom", major: 1, minor: 9 },
] as const;

const LINKS = [
  { name: "fd", target: "/proc/self/fd" },
  { name: "stdin", target: "/proc/self/fd/0" },
  { name: "stdout", target: "/proc/self/fd/1" },
  { name: "stderr", target: "/proc/self/fd/2" },
] as const;

/** Room for the nodes themselves; the mount is read-only when the program starts. */
const DEV_BYTES = 64 * 1024;

/**
 * /dev: a tmpfs with nodes made here. Nothing of an image's own /dev is ever used.
 *
 * A slot makes it once, in its staging directory, and each of its containers gets a clone of the mount. It is read-only, so that not even the time
 * of an access stays; and what a program can attach to a node without writing (locks, watches) ends with the program,
 * before the slot's next one begins.
 */
export function makeDevices(staging: string): Step[] {
  const steps: Step[] = [];
  const step = writeSteps(steps, "slot", "devices");
  const mount = mountTmpfs(step, { sizeBytes: DEV_BYTES, mode: 0o755 });
  const dev = resultOf(mount);
  for (const { name, major, minor } of DEVICES) {
    step("mknodat", dev, string(name), characterDevice(), deviceNumber(major, minor));
    // Whatever the umask of the slot's process is.
    step("fchmodat", dev, string(name), mode(0o666));
  }
  for (const { name, target } of LINKS) step("symlinkat", string(target), dev, string(name));
  step("mkdirat", dev, string("shm"), mode(0o755));
  // struct mount_attr: attr_set, attr_clr, propagation, userns_fd. Nodes are of no use on a mount with nodev.
  const { MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NODEV } = MOUNT_ATTR;
  const text = "{attr_set=MOUNT_ATTR_RDONLY|MOUNT_ATTR_NOEXEC, attr_clr=MOUNT_ATTR_NODEV}";
  const change = words(text, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NODEV, 0, 0);
  step("mount_setattr", dev, string(""), flags(AT, "AT_EMPTY_PATH"), change, 32);
  moveToPath(step, dev, `${staging}/dev`);
  return steps;
}

/** init attaches a clone of it. */
export function attachDevices(steps: Step[], root: DescriptorArgument, { staging }: SlotFacts): void {
  const step = writeSteps(steps, "init", "devices");
  attach(step, resultOf(cloneDirectory(step, `${staging}/dev`)), root, "dev");
}

function characterDevice(): Argument {
  return { kind: "constant", value: S.S_IFCHR | 0o666, text: "S_IFCHR|0666" };
}

/** makedev(3) for numbers below 256. */
function deviceNumber(major: number, minor: number): Argument {
  return { kind: "constant", value: (major << 8) | minor, text: `makedev(${major}, ${minor})` };
}
