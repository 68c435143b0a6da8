import type { HostFacts, SandboxFacts, SlotFacts } from "../../../worker/container/plan/facts.ts";
import { type Plan, planContainer } from "../../../worker/container/plan/plan.ts";
import type { Actor, Purpose, Step } from "../../../worker/container/plan/step.ts";
import type { ContainerSpec } from "../../../worker/container/spec.ts";

/** A container like any other; tests change what they are about. */
export const sampleSpec: ContainerSpec = {
  layers: [
    { kind: "directory", path: "/images/base" },
    { kind: "directory", path: "/images/top" },
  ],
  rootfs: "writable",
  command: ["python3", "main.py"],
  environment: { PATH: "/usr/bin:/bin", LANG: "C.UTF-8" },
  workingDirectory: "/work",
  user: { uid: 1000, gid: 1000 },
  files: [{ path: "main.py", content: Buffer.from("print(1)\n"), executable: false }],
  stdin: new Uint8Array(),
  limits: {
    cpus: 1,
    cpuTimeMs: 5000,
    wallTimeMs: 10_000,
    memoryBytes: 268_435_456,
    processes: 64,
    outputBytes: 1_048_576,
    diskBytes: 67_108_864,
    fileBytes: 67_108_864,
    openFiles: 256,
    stackBytes: 67_108_864,
  },
  outputs: [],
};

export const sampleSlot: SandboxFacts & SlotFacts = {
  idBase: 1_000_000,
  userNamespace: { kind: "held", descriptor: 40, text: "user namespace" },
  worker: { kind: "held", descriptor: 41, text: "worker" },
  hostNetwork: { kind: "held", descriptor: 42, text: "network namespace of the worker" },
  network: { kind: "held", descriptor: 44, text: "network namespace of the container" },
  staging: "/data/staging",
  layers: [
    { descriptor: { kind: "held", descriptor: 50, text: "init layer" }, path: "layers/0" },
    { descriptor: { kind: "held", descriptor: 51, text: "top" }, path: "layers/1" },
    { descriptor: { kind: "held", descriptor: 52, text: "base" }, path: "layers/2" },
  ],
  releaseSocket: { kind: "held", descriptor: 43, text: "socket of the slot" },
  cgroup: { processFiles: ["/cgroup/memory/c/cgroup.procs", "/cgroup/pids/c/cgroup.procs"] },
};

export const sampleHost: HostFacts = {
  overlay: "descriptors",
  memoryReserveBytes: 0,
  maskedFiles: ["keys"],
  maskedDirectories: ["acpi"],
  seccomp: Buffer.from("0600000000000000", "hex"),
  buildSeccomp: Buffer.from("0600000000000000", "hex"),
};

/** The plan of the sample, with changes. */
export function samplePlan(
  spec: Partial<ContainerSpec> = {},
  slot: Partial<SandboxFacts & SlotFacts> = {},
  host: Partial<HostFacts> = {},
): Plan {
  return planContainer({ ...sampleSpec, ...spec }, { ...sampleSlot, ...slot }, { ...sampleHost, ...host });
}

/** The steps of a plan that one actor makes, for one purpose where it is given. */
export function stepsOf(plan: Plan, actor: Actor, purpose?: Purpose): Step[] {
  return plan.steps.filter((step) => step.actor === actor && (purpose === undefined || step.purpose === purpose));
}

/** Names of calls, in order. */
export function calls(steps: readonly Step[]): string[] {
  return steps.map((step) => step.call);
}
