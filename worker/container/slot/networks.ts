/**
 * The networks of a slot's containers. One is ready before a job comes, and is the next container's alone:
 *
 *   made ──▶ spare ── take ──▶ a container's ── put back ──▶ was a socket made? ── no ──▶ spare
 *                                                                └ yes ──▶ gone
 *
 * A container whose program made no socket (socket-watch.ts) leaves its network as it found it, to the next one: most
 * programs make none, and a network costs 0.9 ms of 5. A socket is all by which a program gets at its network: /proc is
 * read-only, there is no /sys, init hands none down, and neither `setns`, `unshare` nor `io_uring` pass the filter.
 *
 * Of any family: counters of the loopback, ports in TIME_WAIT and names of abstract sockets would tell what the last
 * program did. And a program with a unix socket may leave what reaches its network to another one that lives on, by way of
 * a volume: a file of /proc/net shows the network that it was opened in, whoever reads it.
 *
 * What is left to be seen is that a network is the same as before, by its inode number.
 */
import { closeSync } from "node:fs";
import { SystemCallError } from "../../linux/errno.ts";
import { SlotSteps } from "../interpret.ts";
import type { HeldDescriptor } from "../plan/facts.ts";
import { makeNetwork } from "../plan/network.ts";

export class Networks implements Disposable {
  readonly #hostNetwork: HeldDescriptor;
  #spare: number | undefined;

  /** @param hostNetwork where the slot's thread belongs */
  constructor(hostNetwork: HeldDescriptor) {
    this.#hostNetwork = hostNetwork;
  }

  /** A network that nobody has used; the caller's. @throws {SystemCallError} */
  take(): number {
    const network = this.#spare ?? this.#make();
    this.#spare = undefined;
    return network;
  }

  /** Takes a network back in which there is no process any more, and never was a socket. */
  putBack(descriptor: number): void {
    if (this.#spare === undefined) this.#spare = descriptor;
    else closeSync(descriptor);
  }

  /** Has one ready. @throws {SystemCallError} */
  tidy(): void {
    this.#spare ??= this.#make();
  }

  [Symbol.dispose](): void {
    if (this.#spare !== undefined) closeSync(this.#spare);
  }

  #make(): number {
    using slotSteps = new SlotSteps();
    const { steps, network } = makeNetwork(this.#hostNetwork);
    const failure = slotSteps.execute(steps);
    if (failure !== undefined) throw new SystemCallError(failure.step.call, failure.errno);
    return slotSteps.release(network.step);
  }
}
