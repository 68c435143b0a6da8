import { room, words } from "./arguments.ts";
import type { SlotFacts } from "./facts.ts";
import { type Argument, type Step, writeSteps } from "./step.ts";

/** The only descriptor that init has while it waits: its end of the socket. */
export const RELEASE_SOCKET: Argument = { kind: "constant", value: 3, text: "3" };

const ALL_DESCRIPTORS: Argument = { kind: "constant", value: 0xffffffff, text: "~0U" };

/** Nothing of the worker's stays open but the socket by which init is released. */
export function closeDescriptors(steps: Step[], slot: SlotFacts): void {
  const step = writeSteps(steps, "init", "descriptors");
  step("dup3", slot.releaseSocket, RELEASE_SOCKET, 0);
  step("close_range", 4, ALL_DESCRIPTORS, 0);
  step("close_range", 0, 2, 0);
}

/** CMSG_SPACE(3 * sizeof(int)), see unix(7). */
const THREE_DESCRIPTORS_BYTES = 32;

/**
 * init waits for the program's stdin, stdout and stderr: sent over a socket, they become its descriptors 0, 1 and 2, the
 * lowest that are free. By then the rest of the plan is there. Where the slot has gone without, there is no rest, and
 * what is in its place ends init: read(2) of a descriptor that is closed, or no memory at all.
 */
export function awaitRelease(steps: Step[]): void {
  const step = writeSteps(steps, "init", "release");
  const content = words("{<1 byte>, 1}", { addressOf: room(8, "1 byte") }, 1); // struct iovec
  const control = room(THREE_DESCRIPTORS_BYTES, "stdin, stdout, stderr");
  // struct msghdr: name and its length, iov and its length, control and its length, flags
  const text = "{msg_iov=[{<1 byte>, 1}], msg_control=<stdin, stdout, stderr>}";
  const message = words(text, 0, 0, { addressOf: content }, 1, { addressOf: control }, THREE_DESCRIPTORS_BYTES, 0);
  step.controlled({ kind: "go on" }, "recvmsg", RELEASE_SOCKET, message, 0);
}

/** The program does not get the socket. */
export function closeReleaseSocket(steps: Step[]): void {
  writeSteps(steps, "init", "release")("close", RELEASE_SOCKET);
}
