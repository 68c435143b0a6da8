import { join } from "node:path";
import type { CgroupRoot } from "../cgroup/cgroup.ts";
import { CgroupFiles } from "../cgroup/files.ts";
import { openCgroups } from "../cgroup/open.ts";
import { explainSteps } from "./explain.ts";
import { initLayerPath } from "./init-layer.ts";
import type { HostFacts, SandboxFacts, SlotFacts } from "./plan/facts.ts";
import { makeDevices } from "./plan/devices.ts";
import { makeNetwork } from "./plan/network.ts";
import { planContainer } from "./plan/plan.ts";
import { countMerged } from "./slot/merged-layers.ts";
import type { ContainerSpec, Layer } from "./spec.ts";

/** The machine and the slot that a plan is explained for. */
export interface ExplainedPlace {
  readonly dataDirectory: string;
  readonly idBase: number;
  readonly cgroups: CgroupRoot;
  readonly host: HostFacts;
}

/** Writes down what would be done to the cgroup file system. */
class RecordingFiles extends CgroupFiles {
  #lines: string[] = [];

  override makeDirectory(path: string): void {
    this.#lines.push(`mkdir(${JSON.stringify(path)}, 0777)`);
  }

  override write(path: string, text: string): void {
    this.#lines.push(`write(open(${JSON.stringify(path)}, O_WRONLY), ${JSON.stringify(text)}, ${text.length})`);
  }

  /** What was done since the last call, a line for each system call. */
  take(): readonly string[] {
    const lines = this.#lines;
    this.#lines = [];
    return lines;
  }
}

/**
 * Everything that would happen for a container, as text: the cgroup, the layers that a slot maps to its ids when it uses
 * them for the first time, then the plan. Nothing of it is done.
 */
export function explainContainer(spec: ContainerSpec, place: ExplainedPlace): string {
  const files = new RecordingFiles();
  const cgroups = openCgroups(place.cgroups, files);
  cgroups.occupy();
  const cores = files.take();
  const { entry } = cgroups.create("0-1", spec.limits);
  const staging = join(place.dataDirectory, "staging");
  const layers = [
    { kind: "directory", path: initLayerPath(place.dataDirectory) } as const,
    ...spec.layers.toReversed(),
  ];
  const merged = countMerged(spec.layers, place.host);
  const slot: SandboxFacts & SlotFacts = {
    idBase: place.idBase,
    userNamespace: held("user namespace"),
    worker: held("pidfd of the worker"),
    hostNetwork: held("network namespace of the worker"),
    network: held("network namespace of the container"),
    staging,
    layers: [
      ...layers.slice(0, layers.length - merged).map(layerName),
      ...(merged === 0 ? [] : [`${merged} layers merged`]),
    ].map((name, index) => ({ descriptor: held(name), path: `layers/${index}` })),
    cgroup: entry,
    releaseSocket: held("socket of the slot"),
  };
  return [
    "# the slot, before there is a job",
    ...(cores.length === 0 ? [] : ["## cores, once", ...indent(cores)]),
    ...[makeDevices(staging), makeNetwork(slot.hostNetwork).steps].map((steps) =>
      explainSteps(steps).split("\n").slice(1).join("\n"),
    ),
    "# the slot, before the plan",
    "## cgroup",
    ...indent(files.take()),
    "## layers, once for each that this slot has not used before",
    ...indent(layers.map(explainLayer)),
    ...(merged === 0
      ? []
      : [`      <${merged} layers merged>, an overlay of the lowest, once for all containers of them`]),
    "",
    explainSteps(planContainer(spec, slot, place.host).steps),
  ].join("\n");
}

function indent(lines: readonly string[]): string[] {
  return lines.map((line) => `      ${line}`);
}

function explainLayer(layer: Layer): string {
  if (layer.kind === "kept") return `<${layerName(layer)}>, a writable layer that was kept`;
  const tree = `open_tree(AT_FDCWD, ${JSON.stringify(layer.path)}, OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC)`;
  return `mount_setattr(${tree}, "", AT_EMPTY_PATH, {MOUNT_ATTR_IDMAP|MOUNT_ATTR_RDONLY|MOUNT_ATTR_NOSUID|MOUNT_ATTR_NODEV, <user namespace>}, 32)`;
}

function layerName(layer: Layer): string {
  return `layer ${layer.kind === "kept" ? layer.name : layer.path}`;
}

/** Descriptors are numbered as the kernel would: by nobody, yet. Each is another one. */
let nextDescriptor = 0;
function held(text: string): SlotFacts["worker"] {
  return { kind: "held", descriptor: nextDescriptor++, text };
}
