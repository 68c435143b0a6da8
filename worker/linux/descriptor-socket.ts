/** Descriptors on their way from one process to another (unix(7), SCM_RIGHTS). */
import koffi from "koffi";
import { MESSAGE, SOCKET } from "./constants.ts";
import { SystemCallError } from "./errno.ts";
import { mustCall, systemCall } from "./libc.ts";

/** Both ends of a connection of packets; close-on-exec, the caller's. */
export interface SocketPair {
  readonly near: number;
  readonly far: number;
}

/** Opens a pair of sockets that are connected with each other (socketpair(2)), and with nothing else. */
export function openSocketPair(): SocketPair {
  const ends = Buffer.alloc(8);
  mustCall("socketpair", SOCKET.AF_UNIX, SOCKET.SOCK_SEQPACKET | SOCKET.SOCK_CLOEXEC, 0, ends);
  return { near: ends.readInt32LE(0), far: ends.readInt32LE(4) };
}

/** SCM_MAX_FD of the kernel. */
const DESCRIPTORS_MAX = 253;

// One block that holds a message, so that its parts can point to each other: struct msghdr (56 bytes), the struct iovec
// (16) and the byte it names (8), struct cmsghdr (16) with the descriptors behind it. It is the module's for as long as
// the thread lives, and its memory is not V8's: the address taken here stays good.
const message = Buffer.from(new ArrayBuffer(56 + 16 + 8 + 16 + 4 * DESCRIPTORS_MAX));
const [VECTOR, CONTENT, CONTROL] = [56, 72, 80];
const address = koffi.address(message);
message.writeBigUInt64LE(address + BigInt(VECTOR), 16); // msg_iov
message.writeBigUInt64LE(1n, 24); // msg_iovlen
message.writeBigUInt64LE(address + BigInt(CONTROL), 32); // msg_control
message.writeBigUInt64LE(address + BigInt(CONTENT), VECTOR); // iov_base
message.writeBigUInt64LE(1n, VECTOR + 8); // iov_len
message.writeInt32LE(MESSAGE.SOL_SOCKET, CONTROL + 8); // cmsg_level
message.writeInt32LE(MESSAGE.SCM_RIGHTS, CONTROL + 12); // cmsg_type

/** What comes: as above, with room for one descriptor. CMSG_SPACE(sizeof(int)) is 24. */
const received = Buffer.from(new ArrayBuffer(56 + 16 + 8 + 24));
const receivedAddress = koffi.address(received);
received.writeBigUInt64LE(receivedAddress + BigInt(VECTOR), 16);
received.writeBigUInt64LE(1n, 24);
received.writeBigUInt64LE(receivedAddress + BigInt(CONTROL), 32);
received.writeBigUInt64LE(receivedAddress + BigInt(CONTENT), VECTOR);
received.writeBigUInt64LE(1n, VECTOR + 8);

const EPIPE = 32;
const ECONNRESET = 104;

/**
 * Sends one packet with descriptors. Whoever receives it gets descriptors of its own for the same open files, at its
 * lowest free numbers and in this order; the sender's stay open.
 * @param descriptors 253 at most
 * @returns `gone` when nobody has the other end any more
 */
export function sendDescriptors(socket: number, descriptors: readonly number[]): "sent" | "gone" {
  if (descriptors.length > DESCRIPTORS_MAX) throw new RangeError(`no more than ${DESCRIPTORS_MAX} descriptors at once`);
  const length = BigInt(16 + 4 * descriptors.length);
  message.writeBigUInt64LE(length, 40); // msg_controllen
  message.writeBigUInt64LE(length, CONTROL); // cmsg_len
  for (const [index, descriptor] of descriptors.entries()) message.writeInt32LE(descriptor, CONTROL + 16 + 4 * index);
  const result = systemCall("sendmsg", socket, message, MESSAGE.MSG_NOSIGNAL);
  if (result === -EPIPE || result === -ECONNRESET) return "gone";
  if (result < 0) throw new SystemCallError("sendmsg", -result);
  return "sent";
}

/**
 * Receives one packet with a descriptor, if one is there: close-on-exec, the caller's.
 * @returns undefined when there is none, and when nobody is left who could send one
 */
export function receiveDescriptor(socket: number): number | undefined {
  received.writeBigUInt64LE(24n, 40); // msg_controllen
  const result = systemCall("recvmsg", socket, received, MESSAGE.MSG_DONTWAIT | MESSAGE.MSG_CMSG_CLOEXEC);
  if (result <= 0 || received.readBigUInt64LE(40) === 0n) return undefined;
  return received.readInt32LE(CONTROL + 16);
}
