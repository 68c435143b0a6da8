/**
 * The networks of a slot's containers. In each is nothing but a loopback, and in none has a program ever made a socket when
 * a container enters it:
 *
 *   made ──▶ spare ── take own ──▶ a container's ── leave ──▶ was a socket made? ── no ──▶ spare
 *                                                                  └ yes ──▶ gone
 *   made ──▶ common ◀── take common ── containers that wait ──▶ as long as the program of none has made a socket
 *
 * A container whose program made no socket (socket-watch.ts) leaves its network as it found it, to the next one: most
 * programs make none, and a network costs 0.9 ms of 5. For the same reason those that wait are in one network: one after the
 * other gets a program, the others are an init that does nothing, and a network is 0.14 MB. When one of those programs has
 * made a socket, nobody enters that network any more, and whoever waits in it is not used.
 *
 * A socket is all by which a program gets at its network: /proc is read-only, there is no /sys, init hands none down, and
 * neither `setns`, `unshare` nor `io_uring` pass the filter. Of any family: counters of the loopback, ports in TIME_WAIT and
 * names of abstract sockets would tell what the last program did. And a program with a unix socket may leave what reaches its
 * network to another one that lives on, by way of a volume: a file of /proc/net shows the network that it was opened in,
 * whoever reads it.
 *
 * What is left to be seen is that a network is the same as before, by its inode number.
 */
import { closeSync } from "node:fs";
import { SystemCallError } from "../../linux/errno.ts";
import { SlotSteps } from "../interpret.ts";
import type { HeldDescriptor } from "../plan/facts.ts";
import { makeNetwork } from "../plan/network.ts";

/** Whether others wait in a container's network. */
export type NetworkKind = "own" | "common";

/** A network that containers enter. */
export interface Network {
  readonly kind: NetworkKind;
  /** Of the namespace, and open as long as somebody may enter it. */
  readonly descriptor: number;
}

export class Networks implements Disposable {
  readonly #hostNetwork: HeldDescriptor;
  #spare: number | undefined;
  #common: Network | undefined;

  /** @param hostNetwork where the slot's thread belongs */
  constructor(hostNetwork: HeldDescriptor) {
    this.#hostNetwork = hostNetwork;
  }

  /** A network for a container, which is to {@link leave} it. @throws {SystemCallError} */
  take(kind: NetworkKind): Network {
    switch (kind) {
      case "own":
        return { kind, descriptor: this.takeAway() };
      case "common":
        return (this.#common ??= { kind, descriptor: this.takeAway() });
      default:
        return kind satisfies never;
    }
  }

  /** A network that nobody has entered; the caller's, who closes it. @throws {SystemCallError} */
  takeAway(): number {
    const network = this.#spare ?? this.#make();
    this.#spare = undefined;
    return network;
  }

  /** Whether a container may still get its program in this network, which it has entered. */
  isUnused(network: Network): boolean {
    return network.kind === "own" || network === this.#common;
  }

  /** To be called when no process of the container is left, and be it one that never had a program. */
  leave(network: Network, { hasMadeSocket }: { readonly hasMadeSocket: boolean }): void {
    const { kind, descriptor } = network;
    switch (kind) {
      case "own":
        if (hasMadeSocket || this.#spare !== undefined) closeSync(descriptor);
        else this.#spare = descriptor;
        break;
      case "common":
        if (hasMadeSocket && network === this.#common) {
          this.#common = undefined;
          closeSync(descriptor);
        }
        break;
      default:
        kind satisfies never;
    }
  }

  /** Has a spare one ready. @throws {SystemCallError} */
  tidy(): void {
    this.#spare ??= this.#make();
  }

  [Symbol.dispose](): void {
    if (this.#spare !== undefined) closeSync(this.#spare);
    if (this.#common !== undefined) closeSync(this.#common.descriptor);
  }

  #make(): number {
    using slotSteps = new SlotSteps();
    const { steps, network } = makeNetwork(this.#hostNetwork);
    const failure = slotSteps.execute(steps);
    if (failure !== undefined) throw new SystemCallError(failure.step.call, failure.errno);
    return slotSteps.release(network.step);
  }
}
