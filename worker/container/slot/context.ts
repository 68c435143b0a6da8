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
import { makeNetwork } from "../plan/network.ts";
import type { UnionMount } from "../plan/union-mount.ts";
import type { Layer } from "../spec.ts";
import { attachAt, detach, MountedLayers } from "./mounted-layers.ts";
import { countMerged, MergedLayers } from "./merged-layers.ts";
import { openUserNamespace } from "./user-namespace.ts";

/** A writable layer that a run left to later ones of its slot. */
export interface KeptLayer {
  /** The layer's directory, on a tmpfs of its own. */
  readonly layer: MountedLayer;
  /** Descriptor of that tmpfs' mount: while it is open, the layer can be mounted. */
  readonly mount: number;
}

/**
 * What a slot has for as long as it lives: a mount namespace of its own (whatever it mounts is seen nowhere else and
 * goes with its thread), a user namespace, and the layers it has used, mapped to its range of ids.
 */
export class SlotContext implements Disposable {
  readonly idBase: number;
  readonly staging: string;
  readonly host: HostFacts;
  readonly cgroups: CgroupHierarchy;
  readonly userNamespace: HeldDescriptor;
  readonly worker: HeldDescriptor;
  readonly hostNetwork: HeldDescriptor;
  readonly #resources = new DisposableStack();
  readonly #layers: MountedLayers;
  readonly #merged: MergedLayers;
  readonly #kept = new Map<string, KeptLayer>();
  readonly #initLayer: string;
  #ended = new DisposableStack();
  #network: "unused" | "used" = "used";

  constructor(options: { idBase: number; dataDirectory: string; host: HostFacts; cgroups: CgroupHierarchy }) {
    this.idBase = options.idBase;
    this.host = options.host;
    this.cgroups = options.cgroups;
    this.#initLayer = prepareInitLayer(options.dataDirectory);
    this.staging = join(options.dataDirectory, "staging");
    this.#makeMountNamespace();
    this.userNamespace = this.#hold(openUserNamespace(options.idBase), "user namespace");
    this.#layers = this.#resources.use(
      new MountedLayers(this.staging, options.host.overlay, this.userNamespace.descriptor),
    );
    this.#merged = this.#resources.use(new MergedLayers());
    // The thread has not made a network of its own yet.
    this.hostNetwork = this.#hold(openSync("/proc/thread-self/ns/net", "r"), "network namespace of the worker");
    this.worker = this.#hold(openProcess(process.pid), "worker");
  }

  /** What a plan has to know of this slot, for a container with these layers. */
  facts(layers: readonly Layer[]): Omit<SlotFacts, "cgroup"> {
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
   * Begins a container: takes away what is left of the last one, and gives it a network of its own.
   * @returns what is to be disposed of when the container has ended and been reported
   */
  begin(): DisposableStack {
    this.tidy();
    this.#network = "used";
    return this.#ended;
  }

  /**
   * Takes away what is left of a container that has ended, and prepares for the next one. The slot does it while it has
   * nothing else to do: a result need not wait for a file system to be unmounted, nor a job for a network to be made.
   * @throws {SystemCallError}
   */
  tidy(): void {
    const ended = this.#ended;
    this.#ended = new DisposableStack();
    ended.dispose();
    this.#merged.tidy();
    this.#layers.tidy();
    if (this.#network === "unused") return;
    using steps = new SlotSteps();
    const failure = steps.execute(makeNetwork());
    if (failure !== undefined) throw new SystemCallError(failure.step.call, failure.errno);
    this.#network = "unused";
  }

  /**
   * Gives the network that was prepared for the next container to several of them; that one gets another.
   * @returns a descriptor, which the caller closes
   */
  openNetwork(): number {
    this.tidy();
    this.#network = "used";
    return openSync("/proc/thread-self/ns/net", "r");
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
    for (const name of ["root", "scratch", "layers", "kept"]) mkdirSync(join(this.staging, name), { mode: 0o755 });
    mkdirSync(join(this.staging, "empty"), { mode: 0o555 });
    writeFileSync(join(this.staging, "nothing"), "", { mode: 0o444 });
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
