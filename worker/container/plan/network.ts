import { CLONE, INTERFACE, O, OPEN_TREE, SOCKET } from "../../linux/constants.ts";
import { bytes, flags, resultOf, string } from "./arguments.ts";
import type { SlotFacts } from "./facts.ts";
import { attach, HERE } from "./mounting.ts";
import type { ContainerShape } from "./shape.ts";
import { type DescriptorArgument, type Step, writeSteps } from "./step.ts";

/** What {@link makeNetwork} leaves. */
export interface NewNetwork {
  readonly steps: readonly Step[];
  /** The step whose result is a descriptor of the namespace. */
  readonly network: DescriptorArgument & { readonly kind: "result" };
}

/**
 * How soon the kernel gives up sockets that nobody answers. One whose program has closed it, or is dead, lives on until its
 * last words have arrived: nearly two minutes by default, in which it takes memory and keeps its network. A program can see
 * to it that none arrive (IP_MINTTL), and have more of those than all of the machine may have together
 * (tcp_max_orphans of tcp(7)), beyond which anybody's connections are cut off. On a loopback, silence is no slow line.
 */
const PATIENCE = {
  /** 1.4 s in all, for those that nobody has any more. */
  tcp_orphan_retries: 2,
  /** 25 s for the others, so that the last pause, which those that lose their program wait for, is of 13 s at the most. */
  tcp_retries2: 6,
} as const;

/**
 * A network for a container, made before there is a job for it: the slot's thread enters a new network namespace, where
 * nothing is but a loopback, brings that up, and goes back. Making and destroying one takes 0.9 ms of the machine, half
 * of it in the kernel's own threads, and more than anything else of a container: see slot/networks.ts for how often.
 */
export function makeNetwork(hostNetwork: DescriptorArgument): NewNetwork {
  const steps: Step[] = [];
  const step = writeSteps(steps, "slot", "network");
  step("unshare", flags(CLONE, "CLONE_NEWNET"));
  const request = new Uint8Array(40); // struct ifreq: name, then flags
  request.set(new TextEncoder().encode("lo"));
  new DataView(request.buffer).setInt16(16, INTERFACE.IFF_UP | INTERFACE.IFF_RUNNING, true);
  const socket = step("socket", flags(SOCKET, "AF_INET"), flags(SOCKET, "SOCK_DGRAM", "SOCK_CLOEXEC"), 0);
  step("ioctl", resultOf(socket), flags(INTERFACE, "SIOCSIFFLAGS"), bytes('{"lo", IFF_UP|IFF_RUNNING}', request));
  for (const [name, value] of Object.entries(PATIENCE)) {
    const file = step("openat", HERE, string(`/proc/sys/net/ipv4/${name}`), flags(O, "O_WRONLY", "O_CLOEXEC"));
    step("write", resultOf(file), string(String(value)), 1);
    step("close", resultOf(file));
  }
  const network = step("openat", HERE, string("/proc/thread-self/ns/net"), flags(O, "O_RDONLY", "O_CLOEXEC"));
  step("setns", hostNetwork, flags(CLONE, "CLONE_NEWNET"));
  return { steps, network: { kind: "result", step: network } };
}

/**
 * init enters the container's network.
 * @throws {RangeError} for the host's network outside of an image build
 */
export function joinNetwork(steps: Step[], shape: ContainerShape, slot: SlotFacts): void {
  const step = writeSteps(steps, "init", "network");
  step("setns", networkOf(shape, slot), flags(CLONE, "CLONE_NEWNET"));
}

function networkOf({ network, build }: ContainerShape, slot: SlotFacts): DescriptorArgument {
  switch (network?.kind) {
    case undefined:
    case "none":
      return slot.network;
    case "join":
      return { kind: "held", descriptor: network.descriptor, text: "network namespace of other containers" };
    case "host":
      if (build === undefined) throw new RangeError("the host's network is for image builds only");
      return slot.hostNetwork;
    default:
      return network satisfies never;
  }
}

/** A step of an image build that has the host's network also needs to know the host's name servers; mounted and not copied, so that they never become part of an image. */
export function mountResolverConfiguration(steps: Step[], root: DescriptorArgument): void {
  const step = writeSteps(steps, "init", "network");
  const cloned = flags(OPEN_TREE, "OPEN_TREE_CLONE", "OPEN_TREE_CLOEXEC");
  attach(step, resultOf(step("open_tree", HERE, string("/etc/resolv.conf"), cloned)), root, "etc/resolv.conf");
}
