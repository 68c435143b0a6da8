import { closeSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { CgroupHierarchy } from "../../cgroup/cgroup.ts";
import { CLONE, MS } from "../../linux/constants.ts";
import { cString, mustCall } from "../../linux/libc.ts";
import { SystemCallError } from "../../linux/errno.ts";
import { openProcess } from "../../linux/process.ts";
import { prepareInitLayer } from "../init-layer.ts";
import type { HeldDescriptor, HostFacts, MountedLayer, SlotFacts } from "../plan/facts.ts";
import { SlotSteps } from "../interpret.ts";
import { makeDevices } from "../plan/devices.ts";
import type { ContainerShape } from "../plan/shape.ts";
import type { Step } from "../plan/step.ts";
import type { UnionMount } from "../plan/union-mount.ts";
import type { ContainerSpec, Layer, SetupFailure } from "../spec.ts";
import { Commands } from "./commands.ts";
import { attachAt, detach, MountedLayers } from "./mounted-layers.ts";
import { isMemoryShort } from "./machine-memory.ts";
import { countMerged, MergedLayers } from "./merged-layers.ts";
import { type Network, Networks } from "./networks.ts";
import { PreparedContainer } from "./prepared-container.ts";
import { Sandboxes } from "./sandboxes.ts";
import { failureOf } from "./setup-failure.ts";
import { monotonicMs } from "./usage.ts";
import { openUserNamespace } from "./user-namespace.ts";
import { type Expected, WaitingContainers, type WarmthOptions } from "./waiting-containers.ts";

/** A writable layer that a run left to later ones of its slot. */
export interface KeptLayer {
  /** The layer's directory, on a tmpfs of its own. */
  readonly layer: MountedLayer;
  /** Descriptor of that tmpfs' mount: while it is open, the layer can be mounted. */
  readonly mount: number;
}

/** What a slot's thread makes its context from; see `SlotOptions`. */
export interface SlotContextOptions {
  readonly index: number;
  readonly idBase: number;
  readonly dataDirectory: string;
  readonly host: HostFacts;
  readonly cgroups: CgroupHierarchy;
  readonly warmth: WarmthOptions;
}

/** What a slot has prepared. Plain data. */
export interface Stock {
  /** Containers that wait. */
  readonly waiting: number;
  /** Whether another should be prepared. */
  readonly next: "more" | "enough";
}

/** What the names of the cgroups of a slot's containers begin with; a number follows. */
export function containerPrefix(index: number): string {
  return `${index}-`;
}

/**
 * What a slot has for as long as it lives: a mount namespace of its own (whatever it mounts is seen nowhere else and
 * goes with its thread), a user namespace, and the layers it has used, mapped to its range of ids.
 */
export class SlotContext implements Disposable {
  readonly idBase: number;
  readonly staging: string;
  readonly host: HostFacts;
  readonly userNamespace: HeldDescriptor;
  readonly worker: HeldDescriptor;
  readonly hostNetwork: HeldDescriptor;
  readonly networks: Networks;
  readonly sandboxes: Sandboxes;
  readonly commands = new Commands();
  readonly #resources = new DisposableStack();
  readonly #layers: MountedLayers;
  readonly #merged: MergedLayers;
  readonly #kept = new Map<string, KeptLayer>();
  readonly #initLayer: string;
  readonly #waiting: WaitingContainers<PreparedContainer>;
  #ended = new DisposableStack();

  constructor(options: SlotContextOptions) {
    this.idBase = options.idBase;
    this.host = options.host;
    this.#initLayer = prepareInitLayer(options.dataDirectory);
    this.staging = join(options.dataDirectory, "staging");
    this.#makeMountNamespace();
    this.userNamespace = this.#hold(openUserNamespace(options.idBase), "user namespace");
    this.#layers = this.#resources.use(
      new MountedLayers(this.staging, options.host.overlay, this.userNamespace.descriptor),
    );
    this.#merged = this.#resources.use(new MergedLayers());
    this.#waiting = new WaitingContainers(options.warmth, (shape, container) => this.#isCurrent(shape, container));
    this.hostNetwork = this.#hold(openSync("/proc/thread-self/ns/net", "r"), "network namespace of the worker");
    this.networks = this.#resources.use(new Networks(this.hostNetwork));
    this.worker = this.#hold(openProcess(process.pid), "worker");
    const nothing = this.#resources.adopt(openSync("/dev/null", "r+"), closeSync);
    const place = { staging: this.staging, host: options.host, nothing };
    this.sandboxes = this.#resources.use(new Sandboxes(options.cgroups, containerPrefix(options.index), place));
  }

  /** What a plan has to know of this slot, for a container with these layers. */
  facts(layers: readonly Layer[]): Omit<SlotFacts, "network"> {
    const { idBase, userNamespace, worker, hostNetwork, staging } = this;
    return { idBase, userNamespace, worker, hostNetwork, staging, layers: this.#mountedLayers(layers) };
  }

  /** The layers of a container as overlay wants them: topmost first, the init layer above all. */
  #mountedLayers(layers: readonly Layer[]): MountedLayer[] {
    const mounted = layers.map((layer) =>
      layer.kind === "kept" ? this.#keptLayer(layer.name).layer : this.#layers.get(layer.path),
    );
    const count = countMerged(layers, this.host);
    const top = layers[count - 1];
    const merged = top?.kind === "directory" ? [this.#merged.get(mounted.slice(0, count), top.path)] : [];
    return [this.#layers.get(this.#initLayer), ...mounted.slice(count).toReversed(), ...merged];
  }

  /**
   * Begins a run: takes away what is left of the last one.
   * @returns what is to be disposed of when this one has ended and been reported
   */
  begin(): DisposableStack {
    this.#takeAway();
    return this.#ended;
  }

  /**
   * A container for a spec: one that waits for such a spec, or a new one.
   * @param isCanceled see {@link PreparedContainer.prepare}
   * @throws {SystemCallError}
   */
  prepare(spec: ContainerSpec, isCanceled: () => boolean): PreparedContainer | SetupFailure {
    this.sandboxes.expect(spec.limits);
    const waiting = this.#waiting.take(spec, monotonicMs());
    return waiting ?? PreparedContainer.prepare(this, spec, "own", isCanceled);
  }

  /**
   * Prepares one container for a run that is likely to come. Where that fails, the run has its own made, and fails of the
   * same.
   * @param announced a spec that is known to come
   */
  prepareAhead(announced?: ContainerSpec): Stock {
    const demand = announced && this.#waiting.demandFor(announced, monotonicMs());
    const next = this.#waiting.refill((expected) => prepareWaiting(this, expected), demand);
    return { waiting: this.#waiting.count, next };
  }

  /** Lets go of all containers that wait, and of what the next one would be made of. */
  dropWaiting(): void {
    this.#waiting.clear();
    this.sandboxes.clear();
    // One that had hardly begun to be prepared does not give its network back.
    this.networks.tidy();
  }

  /**
   * Takes away what is left of a container that has ended, and whatever else is not needed any more: after the result, which
   * need not wait for a file system to be unmounted.
   * @throws {SystemCallError}
   */
  tidy(): void {
    this.#takeAway();
    this.#waiting.tidy(monotonicMs());
    this.#merged.tidy();
    this.#layers.tidy();
  }

  /**
   * Makes what the next container begins with, whatever it is. The slot does it while it has nothing else to do: a run that
   * finds it missing has it made.
   * @throws {SystemCallError}
   */
  makeReady(): void {
    this.networks.tidy();
    this.sandboxes.tidy();
  }

  /**
   * Gives the network that was prepared for the next container to several of them; that one gets another.
   * @returns a descriptor, which the caller closes
   */
  openNetwork(): number {
    this.#takeAway();
    return this.networks.takeAway();
  }

  /** A container has ended that was in this network. */
  leaveNetwork(shape: ContainerShape, network: Network, end: { readonly hasMadeSocket: boolean }): void {
    if (end.hasMadeSocket) this.#waiting.noteSocket(shape);
    this.networks.leave(network, end);
  }

  /** Keeps the writable layer of a container that has ended under a name; does nothing for a read-only one. */
  keep(name: string, mounts: UnionMount, slotSteps: SlotSteps): void {
    this.release(name);
    if (mounts.upper === undefined) return;
    const descriptor = slotSteps.release(mounts.upper);
    const mount = slotSteps.release(mounts.kept ?? mounts.scratch);
    const mountPoint = `kept/${name}`;
    if (mounts.kept !== undefined) attachAt(mount, join(this.staging, mountPoint));
    const path = `${mountPoint}/upper`;
    this.#kept.set(name, { layer: { descriptor: { kind: "held", descriptor, text: `layer ${name}` }, path }, mount });
  }

  /** The descriptor of a kept layer's directory, which stays open until the layer is released. */
  locate(name: string): number {
    return this.#keptLayer(name).layer.descriptor.descriptor;
  }

  /** Lets go of a kept layer; a name that is not known is left alone. */
  release(name: string): void {
    const kept = this.#kept.get(name);
    if (kept === undefined) return;
    this.#kept.delete(name);
    closeSync(kept.layer.descriptor.descriptor);
    closeSync(kept.mount);
    if (this.host.overlay === "paths") detach(join(this.staging, dirname(kept.layer.path)));
  }

  [Symbol.dispose](): void {
    this.#ended.dispose();
    this.#waiting.clear();
    for (const name of [...this.#kept.keys()]) this.release(name);
    this.#resources.dispose();
  }

  /**
   * A thread may leave the process' mount namespace by itself (unshare(2), which implies CLONE_FS). What is mounted on
   * the staging directory from here on, the host does not see.
   */
  #makeMountNamespace(): void {
    mkdirSync(this.staging, { recursive: true });
    mustCall("unshare", CLONE.CLONE_NEWNS);
    const [none, root, staging, tmpfs] = [cString("none"), cString("/"), cString(this.staging), cString("tmpfs")];
    mustCall("mount", none, root, 0, MS.MS_REC | MS.MS_PRIVATE, 0);
    mustCall("mount", tmpfs, staging, tmpfs, MS.MS_NOSUID | MS.MS_NODEV, 0);
    for (const name of ["root", "scratch", "dev", "proc", "layers", "kept"])
      mkdirSync(join(this.staging, name), { mode: 0o755 });
    mkdirSync(join(this.staging, "empty"), { mode: 0o555 });
    writeFileSync(join(this.staging, "nothing"), "", { mode: 0o444 });
    executeSteps(makeDevices(this.staging));
  }

  #takeAway(): void {
    const ended = this.#ended;
    this.#ended = new DisposableStack();
    ended.dispose();
  }

  /**
   * An image may have been removed since the container was prepared, and perhaps pulled again; and a program may have used the
   * network in which it waits.
   */
  #isCurrent({ layers }: ContainerShape, container: PreparedContainer): boolean {
    if (!this.networks.isUnused(container.network)) return false;
    try {
      const current = this.#mountedLayers(layers);
      return current.every((layer, index) => layer === container.layers[index]);
    } catch {
      return false;
    }
  }

  #keptLayer(name: string): KeptLayer {
    const kept = this.#kept.get(name);
    if (kept === undefined) throw new Error(`this slot keeps no layer named ${name}`);
    return kept;
  }

  #hold(descriptor: number, text: string): HeldDescriptor {
    return { kind: "held", descriptor: this.#resources.adopt(descriptor, closeSync), text };
  }
}

/** Makes steps that leave no descriptor open. @throws {SystemCallError} */
function executeSteps(steps: readonly Step[]): void {
  using slotSteps = new SlotSteps();
  const failure = slotSteps.execute(steps);
  if (failure !== undefined) throw new SystemCallError(failure.step.call, failure.errno);
}

/**
 * A container that is ready, or on its way, with the limits that its run will probably have; undefined if it fails, or the
 * machine has no memory to spare.
 */
function prepareWaiting(context: SlotContext, { shape, limits, network }: Expected): PreparedContainer | undefined {
  if (isMemoryShort(context.host.memoryReserveBytes)) return undefined;
  using resources = new DisposableStack();
  try {
    const container = PreparedContainer.prepare(context, shape, network, () => false);
    if (!(container instanceof PreparedContainer)) return undefined;
    resources.use(container);
    container.cgroup.limit(limits);
    if (!container.isWaiting()) return undefined;
    resources.move();
    return container;
  } catch (error) {
    failureOf("slot", error);
    return undefined;
  }
}
