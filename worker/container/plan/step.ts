/**
 * A plan is the container as data: every system call that makes it, in order, before any of them is made.
 *
 * It has three parts. The sandbox is the same for all containers; the preparation knows nothing of a job but the shape of
 * its container; the release is what the job adds. Between them init waits.
 *
 * Four processes execute it, one after the other:
 *
 *   slot      the worker's thread, by itself: what must outlive the container (its root is read after its death)
 *   launcher  a fresh small process, only there to fork
 *   init      process 1 of the container: namespaces, cgroup, mounts, then gives up every privilege
 *   payload   forked by init: limits, ids, and the command
 *
 * A step may use the result of an earlier one. Where that was the slot's and this is not, the result is a descriptor
 * that the launcher inherits, or that init receives.
 */
import type { SystemCall } from "../../linux/system-calls.ts";

/** The process that executes a step. */
export type Actor = "slot" | "launcher" | "init" | "payload";

/** What a step is for. `longshore explain` groups by it and failures name it. */
export type Purpose =
  | "lifetime"
  | "namespaces"
  | "cgroup"
  | "network"
  | "host name"
  | "union mount"
  | "files"
  | "proc"
  | "devices"
  | "temporary file systems"
  | "volumes"
  | "mount points"
  | "pivot_root"
  | "user ids"
  | "capabilities"
  | "seccomp"
  | "descriptors"
  | "preparation"
  | "release"
  | "accounting"
  | "limits"
  | "exec";

/** An argument of a system call. */
export type Argument =
  | number
  | bigint
  /** A constant or a set of flags, with its name for people. */
  | { readonly kind: "constant"; readonly value: number | bigint; readonly text: string }
  /** A NUL-terminated string. */
  | { readonly kind: "string"; readonly text: string }
  /** A NULL-terminated vector of strings. */
  | { readonly kind: "strings"; readonly list: readonly string[] }
  /** Bytes that the call reads, with their meaning for people. */
  | { readonly kind: "bytes"; readonly bytes: Uint8Array; readonly text: string }
  /** A struct of 64-bit words that the call reads. */
  | { readonly kind: "words"; readonly words: readonly Word[]; readonly text: string }
  /** A BPF program, passed as `struct sock_fprog`. */
  | { readonly kind: "program"; readonly instructions: Uint8Array }
  /** Zeroed room that the call fills. */
  | { readonly kind: "room"; readonly length: number; readonly text: string }
  | DescriptorArgument;

/** A word of a struct. */
export type Word =
  | number
  | bigint
  | DescriptorArgument
  /** A descriptor in the lower half and a value in the upper. */
  | { readonly low: DescriptorArgument; readonly high: number }
  /** A pointer to what has a place in memory. */
  | { readonly addressOf: Argument };

/** A descriptor that is known only when the plan is executed. */
export type DescriptorArgument =
  /** What an earlier step returned. */
  | { readonly kind: "result"; readonly step: Step }
  /** One that the slot holds for longer than one container. */
  | { readonly kind: "held"; readonly descriptor: number; readonly text: string };

/** What may come after a step. */
export type Control =
  /** A failure ends the plan. */
  | { readonly kind: "must succeed" }
  /** A failure is passed over; only one with this errno, where it is given. The launcher passes over all. */
  | { readonly kind: "may fail"; readonly errno?: number }
  /** Any other result ends the plan. The launcher knows 0 only. */
  | { readonly kind: "must return"; readonly value: number }
  /** Makes the next actor, which goes on here; this one goes on at the first step of `parent` after it. */
  | { readonly kind: "fork" }
  /** Repeated until it returns the result of `step`. */
  | { readonly kind: "until"; readonly step: Step }
  /** The last of a sandbox or a preparation: whoever makes it goes on with the first step of the next part. */
  | { readonly kind: "go on" };

/** One system call of a plan. */
export interface Step {
  readonly actor: Actor;
  readonly purpose: Purpose;
  readonly call: SystemCall;
  readonly arguments: readonly Argument[];
  readonly control: Control;
  /** The slot closes the descriptor that it returned when the container is done with. */
  readonly opensDescriptor: boolean;
}

/** Adds steps of one actor and one purpose to a plan. */
export interface StepWriter {
  (call: SystemCall, ...args: Argument[]): Step;
  /** A step whose failure does not matter. */
  mayFail(call: SystemCall, ...args: Argument[]): Step;
  /** A step with another {@link Control}. */
  controlled(control: Control, call: SystemCall, ...args: Argument[]): Step;
}

const DESCRIPTOR_CALLS: ReadonlySet<SystemCall> = new Set<SystemCall>([
  "socket",
  "fsopen",
  "fsmount",
  "open_tree",
  "openat",
  "openat2",
]);

/** A writer that appends to `steps`. */
export function writeSteps(steps: Step[], actor: Actor, purpose: Purpose): StepWriter {
  const controlled = (control: Control, call: SystemCall, ...args: Argument[]): Step => {
    const opensDescriptor = actor === "slot" && DESCRIPTOR_CALLS.has(call);
    const step: Step = { actor, purpose, call, arguments: args, control, opensDescriptor };
    steps.push(step);
    return step;
  };
  const writer = (call: SystemCall, ...args: Argument[]): Step => controlled({ kind: "must succeed" }, call, ...args);
  return Object.assign(writer, {
    controlled,
    mayFail: (call: SystemCall, ...args: Argument[]): Step => controlled({ kind: "may fail" }, call, ...args),
  });
}
