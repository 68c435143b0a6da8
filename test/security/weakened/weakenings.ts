/**
 * Containers with one layer of defence turned off, to see what the others hold by themselves. Only tests can have them:
 * each is a change to the plan of a container, after the plan was made as ever.
 */
import { CLONE, MOUNT_ATTR, MS } from "../../../worker/linux/constants.ts";
import { flags, words } from "../../../worker/container/plan/arguments.ts";
import type { SlotFacts } from "../../../worker/container/plan/facts.ts";
import { type Argument, type Step, writeSteps } from "../../../worker/container/plan/step.ts";

/** Changes the steps of a plan. */
type Weakening = (steps: readonly Step[], slot: SlotFacts) => Step[];

export const weakenings = {
  "the filter on system calls": without(({ purpose }) => purpose === "seccomp"),
  "the user namespace": without(({ purpose, call }) => purpose === "user ids" && call === "setns"),
  "the dropping of capabilities": without(
    ({ call, arguments: [operation] }) => call === "capset" || nameOf(operation) === "PR_CAPBSET_DROP",
  ),
  no_new_privs: without(({ arguments: [operation] }) => nameOf(operation) === "PR_SET_NO_NEW_PRIVS"),
  "nosuid on mounts": withoutAttribute(MOUNT_ATTR.MOUNT_ATTR_NOSUID, MS.MS_NOSUID),
  "nodev on mounts": withoutAttribute(MOUNT_ATTR.MOUNT_ATTR_NODEV, MS.MS_NODEV),
  "read-only and masked /proc": unchanged,
  "the detaching of the old root": without(({ purpose, call }) => purpose === "pivot_root" && call === "umount2"),
  "the network namespace": (steps, slot) => {
    const added: Step[] = [];
    writeSteps(added, "init", "network")("setns", slot.hostNetwork, flags(CLONE, "CLONE_NEWNET"));
    const own = steps.findIndex(({ purpose }) => purpose === "network");
    return steps.toSpliced(own, 1, ...added);
  },
  "the process namespace": unchanged,
  "the IPC namespace": unchanged,
} as const satisfies Record<string, Weakening>;

/** What they change of what every container begins with. */
const sandboxWeakenings: Partial<Record<WeakeningName, (steps: readonly Step[]) => readonly Step[]>> = {
  "the process namespace": (steps) => leaveOutNamespace(steps, CLONE.CLONE_NEWPID),
  "the IPC namespace": (steps) => leaveOutNamespace(steps, CLONE.CLONE_NEWIPC),
  "nosuid on mounts": (steps) => change(steps, ({ call }) => call === "fsmount", MOUNT_ATTR.MOUNT_ATTR_NOSUID),
  "nodev on mounts": (steps) => change(steps, ({ call }) => call === "fsmount", MOUNT_ATTR.MOUNT_ATTR_NODEV),
  "read-only and masked /proc": (steps) => {
    // The masks are what is mounted over it.
    const kept = steps.filter(({ purpose, call, arguments: [first] }) => {
      const isOfMask =
        call === "open_tree" || (call === "openat" && typeof first === "object") || isMoveOfMask(call, first);
      return purpose !== "proc" || !isOfMask;
    });
    if (kept.length === steps.length) throw noSuchStep();
    return change(kept, ({ purpose, call }) => purpose === "proc" && call === "fsmount", MOUNT_ATTR.MOUNT_ATTR_RDONLY);
  },
};

/** What of a container can be turned off. */
export type WeakeningName = keyof typeof weakenings;

/** Turns off what is named of what comes after the preparation: it gives up capabilities, and nothing else. */
export function weakenRelease(names: readonly string[], steps: readonly Step[]): readonly Step[] {
  return names.includes("the dropping of capabilities") ? steps.filter(({ call }) => call !== "capset") : steps;
}

/** Turns off what is named of a sandbox. */
export function weakenSandbox(names: readonly string[], steps: readonly Step[]): readonly Step[] {
  return names.reduce(
    (weakened, name) => (isWeakening(name) ? sandboxWeakenings[name]?.(weakened) : undefined) ?? weakened,
    steps,
  );
}

/** Turns off all that is named of a preparation, one after the other. @throws {RangeError} for a name that there is not */
export function weaken(names: readonly string[], steps: readonly Step[], slot: SlotFacts): readonly Step[] {
  return names.reduce((weakened, name) => {
    if (!isWeakening(name)) throw new RangeError(`there is no weakening ${name}`);
    return weakenings[name](weakened, slot);
  }, steps);
}

function isWeakening(name: string): name is WeakeningName {
  return Object.hasOwn(weakenings, name);
}

/** A weakening that finds nothing to weaken would show that everything holds. */
function without(isLeftOut: (step: Step) => boolean): Weakening {
  return (steps) => {
    const kept = steps.filter((step) => !isLeftOut(step));
    if (kept.length === steps.length) throw noSuchStep();
    return kept;
  };
}

function nameOf(argument: Argument | undefined): string | undefined {
  return typeof argument === "object" && argument.kind === "constant" ? argument.text : undefined;
}

/** The mount of /proc itself was made by fsmount, those of its masks by open_tree. */
function isMoveOfMask(call: Step["call"], mount: Argument | undefined): boolean {
  return (
    call === "move_mount" && typeof mount === "object" && mount.kind === "result" && mount.step.call === "open_tree"
  );
}

/** All mounts of a container without an attribute, given as fsmount(2) and as mount(2) have it. */
function withoutAttribute(attribute: number, mountFlag: number): Weakening {
  return (steps) => {
    const kept = steps.some(({ call }) => call === "mount")
      ? change(steps, ({ call }) => call === "mount", mountFlag)
      : steps;
    return change(kept, ({ call }) => call === "fsmount", attribute);
  };
}

function unchanged(steps: readonly Step[]): Step[] {
  return [...steps];
}

function leaveOutNamespace(steps: readonly Step[], flag: number): readonly Step[] {
  const clone = steps.find(({ call, actor }) => call === "clone3" && actor === "launcher");
  const [structure, ...others] = clone?.arguments ?? [];
  if (clone === undefined || typeof structure !== "object" || structure.kind !== "words") throw noSuchStep();
  const [first, ...rest] = structure.words;
  if (typeof first !== "bigint") throw noSuchStep();
  exchangeArguments(clone, [words(structure.text, first & ~BigInt(flag), ...rest), ...others]);
  return steps;
}

/** Clears a bit of the constants among the arguments of some steps. */
function change(steps: readonly Step[], isMeant: (step: Step) => boolean, bit: number): Step[] {
  let cleared = 0;
  const clear = (argument: Argument): Argument => {
    if (typeof argument !== "object" || argument.kind !== "constant" || !argument.text.includes("_NO")) return argument;
    const value = BigInt(argument.value);
    if ((value & BigInt(bit)) !== 0n) cleared += 1;
    return { ...argument, value: value & ~BigInt(bit) };
  };
  for (const step of steps.filter(isMeant)) exchangeArguments(step, step.arguments.map(clear));
  if (cleared === 0) throw noSuchStep();
  return [...steps];
}

/** In place: other steps, and the plan, name this one by its identity. */
function exchangeArguments(step: Step, replacement: readonly Argument[]): void {
  Object.assign(step, { arguments: replacement });
}

function noSuchStep(): Error {
  return new Error("the plan has no step that could be weakened so");
}
