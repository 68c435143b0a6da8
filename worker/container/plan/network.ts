import { CLONE, INTERFACE, OPEN_TREE, SOCKET } from "../../linux/constants.ts";
import { bytes, flags, resultOf, string } from "./arguments.ts";
import type { SlotFacts } from "./facts.ts";
import { attach, HERE } from "./mounting.ts";
import type { ContainerShape } from "./shape.ts";
import { type DescriptorArgument, type Step, writeSteps } from "./step.ts";

/**
 * The network of the slot's next container, made before there is a job for it: the slot's thread enters a new network
 * namespace, where nothing is but a loopback, and brings that up. What the thread launches is born in it.
 *
 * Each namespace serves one container. Making and destroying one takes 0.4 ms to 0.5 ms, more than anything else of a
 * container, and a counter of its loopback or a port in TIME_WAIT would tell the next what the last one did.
 */
export function makeNetwork(): Step[] {
  const steps: Step[] = [];
  const step = writeSteps(steps, "slot", "network");
  step("unshare", flags(CLONE, "CLONE_NEWNET"));
  const request = new Uint8Array(40); // struct ifreq: name, then flags
  request.set(new TextEncoder().encode("lo"));
  new DataView(request.buffer).setInt16(16, INTERFACE.IFF_UP | INTERFACE.IFF_RUNNING, true);
  const socket = step("socket", flags(SOCKET, "AF_INET"), flags(SOCKET, "SOCK_DGRAM", "SOCK_CLOEXEC"), 0);
  step("ioctl", resultOf(socket), flags(INTERFACE, "SIOCSIFFLAGS"), bytes('{"lo", IFF_UP|IFF_RUNNING}', request));
  return steps;
}

/**
 * A container that is to have another network than the one that the slot prepared leaves that one, before it is born.
 * @throws {RangeError} for the host's network outside of an image build
 */
export function joinNetwork(steps: Step[], shape: ContainerShape, slot: SlotFacts): void {
  const network = networkOf(shape, slot);
  if (network === undefined) return;
  writeSteps(steps, "launcher", "network")("setns", network, flags(CLONE, "CLONE_NEWNET"));
}

function networkOf({ network, build }: ContainerShape, slot: SlotFacts): DescriptorArgument | undefined {
  switch (network?.kind) {
    case undefined:
    case "none":
      return undefined;
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
