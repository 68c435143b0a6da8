import { CAP, CLONE, KEYCTL, MESSAGE, PR, SECCOMP } from "../../linux/constants.ts";
import { bytes, flags, NULL, resultOf, words } from "./arguments.ts";
import type { HostFacts, SlotFacts } from "./facts.ts";
import type { ContainerShape } from "./shape.ts";
import { type Argument, type Step, type StepWriter, writeSteps } from "./step.ts";
import { RELEASE_SOCKET } from "./waiting.ts";

/** `struct __user_cap_header_struct` for version 3 and the calling process, in one word. */
const CAPABILITY_VERSION_3 = 0x20080522;

/**
 * init gives up the host: its keyrings, its ids, every capability it could hand down. What the payload still needs (to
 * take another id) it has in the slot's user namespace only.
 */
export function enterUserNamespace(steps: Step[], slot: SlotFacts): void {
  const step = writeSteps(steps, "init", "user ids");
  step("keyctl", flags(KEYCTL, "KEYCTL_JOIN_SESSION_KEYRING"), NULL);
  step("setns", slot.userNamespace, flags(CLONE, "CLONE_NEWUSER"));
  step("setgroups", 0, NULL);
  step("setresgid", 0, 0, 0);
  step("setresuid", 0, 0, 0);
}

/** A capability by its name in capabilities(7). */
export type Capability = keyof typeof CAP;

/**
 * What root inside keeps in a step of an image build: what package managers need to own and to become other ids, over
 * the slot's ids only. Docker's default set, without those that reach the network or the kernel's audit log.
 */
export const BUILD_CAPABILITIES: readonly Capability[] = [
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_FOWNER",
  "CAP_FSETID",
  "CAP_KILL",
  "CAP_SETGID",
  "CAP_SETUID",
  "CAP_SETPCAP",
  "CAP_SETFCAP",
  "CAP_SYS_CHROOT",
];

const capabilities = Object.entries(CAP);
const DROP = flags(PR, "PR_CAPBSET_DROP");

/** Nothing executed from here on gains another capability, whatever the file says (capabilities(7), bounding set). */
export function boundCapabilities(steps: Step[], kept: readonly Capability[]): void {
  const step = writeSteps(steps, "init", "capabilities");
  for (const [text, value] of capabilities) {
    if (kept.some((capability) => capability === text)) continue;
    step.mayFail("prctl", DROP, { kind: "constant", value, text }, 0, 0, 0);
  }
  step("prctl", flags(PR, "PR_SET_NO_NEW_PRIVS"), 1, 0, 0, 0);
}

/**
 * The filter is inherited by the payload; init runs under it as well. Its listener, by which the slot is asked for every
 * socket, goes to the slot and nowhere else: it is init's descriptor 0 for a moment, the lowest that is free.
 */
export function filterSystemCalls(steps: Step[], { build }: Pick<ContainerShape, "build">, host: HostFacts): void {
  const step = writeSteps(steps, "init", "seccomp");
  const mode = flags(SECCOMP, "SECCOMP_SET_MODE_FILTER");
  const program = { kind: "program", instructions: build === undefined ? host.seccomp : host.buildSeccomp } as const;
  const listening = ["SECCOMP_FILTER_FLAG_NEW_LISTENER", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"] as const;
  const listener = step("seccomp", mode, flags(SECCOMP, ...listening), program);
  step("sendmsg", RELEASE_SOCKET, messageWithDescriptor0(), flags(MESSAGE, "MSG_NOSIGNAL"));
  step("close", resultOf(listener));
}

/** struct msghdr with one byte and a descriptor; a cmsghdr is its length, SOL_SOCKET and SCM_RIGHTS, and what it carries. */
function messageWithDescriptor0(): Argument {
  const byte = words("1 byte", 0);
  const content = words("{<1 byte>, 1}", { addressOf: byte }, 1); // struct iovec
  const rights = BigInt(MESSAGE.SOL_SOCKET) | (BigInt(MESSAGE.SCM_RIGHTS) << 32n);
  const control = words("{SOL_SOCKET, SCM_RIGHTS, [0]}", ONE_DESCRIPTOR_LENGTH, rights, 0);
  const text = "{msg_iov=[{<1 byte>, 1}], msg_control=[{SOL_SOCKET, SCM_RIGHTS, [0]}]}";
  return words(text, 0, 0, { addressOf: content }, 1, { addressOf: control }, ONE_DESCRIPTOR_SPACE, 0);
}

/** CMSG_LEN(sizeof(int)) and CMSG_SPACE(sizeof(int)), see cmsg(3). */
const ONE_DESCRIPTOR_LENGTH = 20;
const ONE_DESCRIPTOR_SPACE = 24;

/** Leaves the calling process no other effective and permitted capabilities, and no inheritable ones. */
export function keepCapabilities(step: StepWriter, kept: readonly Capability[]): void {
  let low = 0;
  let high = 0;
  for (const capability of kept) {
    if (CAP[capability] < 32) low |= 1 << CAP[capability];
    else high |= 1 << (CAP[capability] - 32);
  }
  // struct __user_cap_data_struct[2]: effective, permitted, inheritable of the lower 32, then of the others.
  const data = new Uint8Array(Uint32Array.of(low, low, 0, high, high, 0).buffer);
  const text = kept.length === 0 ? "{0, 0, 0}" : `{effective=permitted=${kept.join("|")}, inheritable=0}`;
  step("capset", words("{_LINUX_CAPABILITY_VERSION_3, 0}", CAPABILITY_VERSION_3), bytes(text, data));
}

/** init, alone again: it has nothing left to do but wait, and keeps nothing to do more with. */
export function forgetPrivileges(steps: Step[]): void {
  keepCapabilities(writeSteps(steps, "init", "capabilities"), []);
  // The payload's copies of the pipes must be the last ones, or a reader would not see their end.
  writeSteps(steps, "init", "descriptors")("close_range", 0, { kind: "constant", value: 0xffffffff, text: "~0U" }, 0);
}
