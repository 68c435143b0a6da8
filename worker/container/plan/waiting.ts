import { room, words } from "./arguments.ts";
import type { SandboxFacts } from "./facts.ts";
import { type Argument, type Step, type StepWriter, writeSteps } from "./step.ts";

/** Where init has its end of the socket; when it waits to be released, it has no other descriptor. */
export const RELEASE_SOCKET: Argument = { kind: "constant", value: 3, text: "3" };

const ALL_DESCRIPTORS: Argument = { kind: "constant", value: 0xffffffff, text: "~0U" };

/** Of the slot's descriptors init keeps the socket; 0 to 2 lead nowhere, and hold the places of the program's streams. */
export function keepReleaseSocket(steps: Step[], slot: SandboxFacts): void {
  const step = writeSteps(steps, "init", "descriptors");
  step("dup3", slot.releaseSocket, RELEASE_SOCKET, 0);
  step("close_range", 4, ALL_DESCRIPTORS, 0);
}

/**
 * init waits for the slot's descriptors that its preparation names: sent over the socket, they get the lowest numbers that
 * are free, from 4 on. As with the release, the rest of the plan is there by then, or nothing.
 */
export function awaitPreparation(steps: Step[]): void {
  receiveDescriptors(writeSteps(steps, "init", "preparation"), SCM_MAX_FD, "descriptors of the preparation");
}

/** Nothing of the worker's stays open but the socket by which init is released. */
export function closeDescriptors(steps: Step[]): void {
  const step = writeSteps(steps, "init", "descriptors");
  step("close_range", 4, ALL_DESCRIPTORS, 0);
  step("close_range", 0, 2, 0);
}

/** Descriptors that one message can carry, see unix(7). */
const SCM_MAX_FD = 253;

/**
 * init waits for the program's stdin, stdout and stderr: sent over a socket, they become its descriptors 0, 1 and 2, the
 * lowest that are free. By then the rest of the plan is there. Where the slot has gone without, there is no rest, and
 * what is in its place ends init: read(2) of a descriptor that is closed, or no memory at all.
 */
export function awaitRelease(steps: Step[]): void {
  receiveDescriptors(writeSteps(steps, "init", "release"), 3, "stdin, stdout, stderr");
}

/** Waits for one byte with descriptors, and goes on. */
function receiveDescriptors(step: StepWriter, count: number, names: string): void {
  const content = words("{<1 byte>, 1}", { addressOf: room(8, "1 byte") }, 1); // struct iovec
  const space = controlSpace(count);
  const control = room(space, names);
  // struct msghdr: name and its length, iov and its length, control and its length, flags
  const text = `{msg_iov=[{<1 byte>, 1}], msg_control=<${names}>}`;
  const message = words(text, 0, 0, { addressOf: content }, 1, { addressOf: control }, space, 0);
  step.controlled({ kind: "go on" }, "recvmsg", RELEASE_SOCKET, message, 0);
}

/** CMSG_SPACE(count * sizeof(int)), see cmsg(3). */
function controlSpace(count: number): number {
  return 16 + ((count * 4 + 7) & ~7);
}

/** The program does not get the socket. */
export function closeReleaseSocket(steps: Step[]): void {
  writeSteps(steps, "init", "release")("close", RELEASE_SOCKET);
}
