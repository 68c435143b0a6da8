import type { CgroupEntry } from "../../cgroup/cgroup.ts";
import type { DescriptorArgument } from "./step.ts";

/** A descriptor that outlives single containers. */
export type HeldDescriptor = Extract<DescriptorArgument, { kind: "held" }>;

/** What was found out about the machine when the worker started. */
export interface HostFacts {
  /**
   * How an overlay gets its layers: as descriptors of detached mounts (Linux 6.15), or as paths of mounts attached in
   * the slot's mount namespace (every supported kernel).
   */
  readonly overlay: "descriptors" | "paths";
  /** Files and directories right under /proc, of those this kernel has, that tell about the host. */
  readonly maskedFiles: readonly string[];
  readonly maskedDirectories: readonly string[];
  /** The compiled seccomp profile, and the one of steps of image builds. */
  readonly seccomp: Uint8Array;
  readonly buildSeccomp: Uint8Array;
  /** What containers leave of its memory, in bytes: slot/machine-memory.ts. */
  readonly memoryReserveBytes: number;
}

/** A read-only layer as the slot sees it: idmapped into the slot's range of ids. */
export interface MountedLayer {
  readonly descriptor: HeldDescriptor;
  /** Where it is attached below the staging directory; used where `overlay` is `paths`. */
  readonly path: string;
}

/** What a slot has for a sandbox (`Sandbox` of plan.ts). */
export interface SandboxFacts {
  /** See {@link SlotFacts}. */
  readonly staging: string;
  /** The container's cgroup. */
  readonly cgroup: CgroupEntry;
  /** The container's end of the socket by which it is released. */
  readonly releaseSocket: HeldDescriptor;
}

/** What a slot has prepared for any of its containers, and for this one. */
export interface SlotFacts {
  /** The host's id of the container's root; the container's id n is `idBase + n` outside. */
  readonly idBase: number;
  /** The slot's user namespace. */
  readonly userNamespace: HeldDescriptor;
  /** The network namespace of the worker. */
  readonly hostNetwork: HeldDescriptor;
  /** The network namespace of a container that asks for no other. */
  readonly network: HeldDescriptor;
  /** A pidfd of the worker: readable once the worker is dead. */
  readonly worker: HeldDescriptor;
  /**
   * A directory, in the slot's own mount namespace, with the mount
   * points `root`, `scratch` and `proc`, the containers' `dev`, an empty directory `empty` and an empty file `nothing`.
   */
  readonly staging: string;
  /** Topmost first. */
  readonly layers: readonly MountedLayer[];
}
