/**
 * Whether a container's program has made a socket.
 *
 * The filter has the kernel ask for every socket that a program wants (seccomp_unotify(2)), and the slot says yes:
 *
 *   init      seccomp(NEW_LISTENER) ── listener ──▶ SocketWatch
 *   program   socket(…) ── asks and waits ────────▶ SocketWatch ── goes on ──▶ the kernel makes the socket
 *
 * Which families there are, the filter itself says. Of the internet's, the slot refuses all protocols but TCP and UDP: for
 * others a kernel starts modprobe on the machine, and has another module from then on, with whatever holes that has. All of
 * it is decided by words in registers, so it does not matter that another thread can change what a call points to while it
 * waits. What counts is that a socket is made only after the answer: where nobody was
 * answered there was none, whatever the program has tried. It cannot have a filter of its own.
 *
 * A program waits about 30 µs longer for each of its sockets, and one that makes none does not notice. Where the slot dies, init
 * does, too, and nobody waits any more.
 */
import { closeSync } from "node:fs";
import { constants } from "node:os";
import { SECCOMP, SOCKET } from "../../linux/constants.ts";
import { receiveDescriptor } from "../../linux/descriptor-socket.ts";
import { systemCall } from "../../linux/libc.ts";

/** Size of `struct seccomp_notif`, and of `struct seccomp_notif_resp`. */
const NOTIFICATION_BYTES = 80;
const RESPONSE_BYTES = 24;

const { AF_UNIX, SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_TYPE_MASK, IPPROTO_TCP, IPPROTO_UDP } = SOCKET;

const { SECCOMP_IOCTL_NOTIF_RECV, SECCOMP_IOCTL_NOTIF_SEND, SECCOMP_USER_NOTIF_FLAG_CONTINUE } = SECCOMP;

/**
 * What an answer costs is on no program's account, so there are not more than one each millisecond in the long run: 2 % of
 * a core. A thousand at once are no more than tests of servers make.
 */
const ANSWER_INTERVAL_MS = 1;
const ANSWERS_AT_ONCE = 1000;

/** Watches one container. */
export class SocketWatch implements Disposable {
  /** What is readable when there is something to {@link advance} with; -1 for nothing. */
  #awaited: number;
  readonly #socket: number;
  #listener: number | undefined;
  #hasAnswered = false;
  /** When the answers would have been given, had they come at their interval. */
  #accountedMs = -Infinity;

  /** @param socket what the listener comes by; the caller's */
  constructor(socket: number) {
    this.#socket = socket;
    this.#awaited = socket;
  }

  /** When it may be advanced again, by `performance.now()`. */
  get restsUntil(): number {
    return this.#accountedMs - ANSWER_INTERVAL_MS * ANSWERS_AT_ONCE;
  }

  /** What to wait for; -1 for nothing. */
  descriptor(now: number): number {
    return this.restsUntil > now ? -1 : this.#awaited;
  }

  /** Takes the listener, or else answers the one that asks. To be called when there is something to be read. */
  advance(now: number): void {
    if (this.#listener === undefined) {
      this.#awaited = this.#takeListener() ?? -1;
      return;
    }
    this.#answer(this.#listener);
    this.#accountedMs = Math.max(this.#accountedMs, now) + ANSWER_INTERVAL_MS;
  }

  /** Nobody is left who could ask. */
  end(): void {
    this.#awaited = -1;
  }

  /**
   * Whether a socket may have been made; for certain, once every process of the container is dead. Without a listener
   * there was no filter that asks.
   */
  get hasMadeSocket(): boolean {
    return this.#hasAnswered || this.#takeListener() === undefined;
  }

  [Symbol.dispose](): void {
    if (this.#listener !== undefined) closeSync(this.#listener);
  }

  #takeListener(): number | undefined {
    this.#listener ??= receiveDescriptor(this.#socket);
    return this.#listener;
  }

  #answer(listener: number): void {
    const notification = Buffer.alloc(NOTIFICATION_BYTES);
    // Who asked may have been killed, or called by a signal, meanwhile.
    if (systemCall("ioctl", listener, SECCOMP_IOCTL_NOTIF_RECV, notification) < 0) return;
    const response = Buffer.alloc(RESPONSE_BYTES); // id, val, error, flags
    notification.copy(response, 0, 0, 8);
    if (isOfKnownProtocol(notification)) {
      this.#hasAnswered = true;
      response.writeUInt32LE(SECCOMP_USER_NOTIF_FLAG_CONTINUE, 20);
    } else response.writeInt32LE(-constants.errno.EPROTONOSUPPORT, 16);
    systemCall("ioctl", listener, SECCOMP_IOCTL_NOTIF_SEND, response);
  }
}

/** Reads what is asked for in `struct seccomp_notif`: the arguments of socket(2), or of socketpair(2). */
function isOfKnownProtocol(notification: Buffer): boolean {
  const [family, type, protocol] = [32, 40, 48].map((offset) => notification.readInt32LE(offset));
  if (family === AF_UNIX) return true;
  switch ((type ?? 0) & SOCK_TYPE_MASK) {
    case SOCK_STREAM:
      return protocol === 0 || protocol === IPPROTO_TCP;
    case SOCK_DGRAM:
      return protocol === 0 || protocol === IPPROTO_UDP;
    case SOCK_RAW:
      // The kernel's to refuse, for want of a capability.
      return true;
    default:
      return false;
  }
}
