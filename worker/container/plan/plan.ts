import type { ContainerSpec } from "../spec.ts";
import { resultOf } from "./arguments.ts";
import { beginAccounting, endPreparation, joinCgroup, type PreparationRooms } from "./cgroup.ts";
import {
  BUILD_CAPABILITIES,
  boundCapabilities,
  type Capability,
  enterUserNamespace,
  filterSystemCalls,
  forgetPrivileges,
} from "./credentials.ts";
import { attachDevices } from "./devices.ts";
import type { HostFacts, SandboxFacts, SlotFacts } from "./facts.ts";
import { writeFiles } from "./files.ts";
import { armDeathSignal, dieWithWorker, enterNamespaces, leaveLauncher, nameHost } from "./namespaces.ts";
import {
  becomeUser,
  executeCommand,
  forbidCoreDumps,
  forkPayload,
  limitResources,
  type ProcessLimits,
} from "./payload.ts";
import { joinNetwork, mountResolverConfiguration } from "./network.ts";
import { attachRoot, pivotRoot } from "./pivot-root.ts";
import { attachProc, mountProc } from "./proc.ts";
import { awaitPayload, type EndingRooms } from "./reaping.ts";
import type { ContainerShape } from "./shape.ts";
import type { DescriptorArgument, Step } from "./step.ts";
import { attachTemporary, makeTemporary, type TemporaryMount } from "./temporary.ts";
import { mountUnion, type UnionMount } from "./union-mount.ts";
import { attachVolumes, openVolumes, type Volume } from "./volumes.ts";
import { awaitPreparation, awaitRelease, closeDescriptors, closeReleaseSocket, keepReleaseSocket } from "./waiting.ts";

/**
 * What every container begins with, whatever it is for: namespaces, a cgroup, /proc, and an init in them that waits for
 * the rest of its plan.
 */
export interface Sandbox {
  readonly steps: readonly Step[];
  /** The step that makes init; its result is init's process id, as the worker sees it. */
  readonly init: Step;
  readonly rooms: Pick<PreparationRooms, "joined">;
}

/** What happens before a container is known for more than its shape; at its end init waits again. */
export interface Preparation {
  readonly sandbox: Sandbox;
  /** Without the sandbox's. */
  readonly steps: readonly Step[];
  /** The mounts that the slot reads from when the container has ended. */
  readonly mounts: UnionMount;
  /** The other file systems that the container can write to. */
  readonly temporary: readonly TemporaryMount[];
  /** The host's directories in it. */
  readonly volumes: readonly Volume[];
  readonly rooms: Pick<PreparationRooms, "joined">;
}

/** What of a spec its processes are made from; jobs of one kind differ in other things: files, streams, outputs. */
export interface CommandSpec extends Pick<
  ContainerSpec,
  "command" | "environment" | "workingDirectory" | "user" | "build"
> {
  readonly limits: ProcessLimits;
}

/** What init and the payload do from then on. */
export interface Command {
  readonly steps: readonly Step[];
  readonly rooms: Omit<PreparationRooms, "joined"> & EndingRooms;
}

/** What happens from then on. */
export interface Release extends Command {
  /** The slot's, and then the command's. */
  readonly steps: readonly Step[];
  readonly command: Command;
  /** Where the job's files are, whatever a program puts in its place; undefined where there is nothing to write to. */
  readonly workingDirectory: DescriptorArgument | undefined;
}

/** Everything that happens for one container. */
export interface Plan extends Preparation, Release {
  /** All of them, those of the sandbox first. */
  readonly steps: readonly Step[];
  /** Where init leaves what the slot reports. */
  readonly rooms: PreparationRooms & EndingRooms;
}

/**
 * The plan of a container: a pure function, without effect and without a look at the machine.
 *
 * @param spec what is to be run
 * @param slot what the slot has prepared for it
 * @param host what was found out about the machine at start
 */
export function planContainer(spec: ContainerSpec, slot: SandboxFacts & SlotFacts, host: HostFacts): Plan {
  const preparation = planPreparation(spec, slot, host, planSandbox(slot, host));
  return joinPlans(preparation, planRelease(spec, slot, preparation, planCommand(spec)));
}

/** A sandbox, its preparation, and what it was released for, as one. */
export function joinPlans(preparation: Preparation, release: Release): Plan {
  return {
    ...preparation,
    ...release,
    steps: [...preparation.sandbox.steps, ...preparation.steps, ...release.steps],
    rooms: { ...preparation.rooms, ...release.rooms },
  };
}

/** The part of a plan that any container has. */
export function planSandbox(slot: SandboxFacts, host: HostFacts): Sandbox {
  const steps: Step[] = [];
  const init = enterNamespaces(steps, slot);
  armDeathSignal(steps);
  joinCgroup(steps, slot);
  const rooms = beginAccounting(steps);
  nameHost(steps);
  mountProc(steps, slot, host);
  keepReleaseSocket(steps, slot);
  awaitPreparation(steps);

  // The launcher, once it has made init.
  leaveLauncher(steps);
  return { steps, init, rooms };
}

/** The part of a plan that any container of this shape has. */
export function planPreparation(
  shape: ContainerShape,
  slot: SlotFacts,
  host: HostFacts,
  sandbox: Sandbox,
): Preparation {
  const steps: Step[] = [];

  // The slot: what must be there before, and can be read afterwards.
  const mounts = mountUnion(steps, shape, slot, host);
  const temporary = makeTemporary(steps, shape, mounts);
  const volumes = openVolumes(steps, shape, slot);

  // init, with the host's root still in sight.
  joinNetwork(steps, shape, slot);
  const root = resultOf(mounts.shown);
  attachRoot(steps, slot, mounts);
  attachProc(steps, root, slot);
  attachDevices(steps, root, slot);
  attachTemporary(steps, root, temporary);
  attachVolumes(steps, root, volumes);
  if (shape.network?.kind === "host") mountResolverConfiguration(steps, root);
  pivotRoot(steps, root);

  // init gives up what it could do outside, and waits.
  enterUserNamespace(steps, slot);
  boundCapabilities(steps, capabilitiesOf(shape));
  dieWithWorker(steps, slot);
  closeDescriptors(steps);
  forbidCoreDumps(steps);
  filterSystemCalls(steps, shape, host);
  awaitRelease(steps);
  return { sandbox, steps, mounts, temporary, volumes, rooms: sandbox.rooms };
}

/** The part of a plan that depends on the job: what a container is released for that was prepared for its shape. */
export function planRelease(
  spec: ContainerSpec,
  slot: Pick<SlotFacts, "idBase">,
  { mounts }: Pick<Preparation, "mounts">,
  command: Command,
): Release {
  const files: Step[] = [];
  const workingDirectory = writeFiles(files, spec, slot, mounts);
  return { steps: [...files, ...command.steps], command, workingDirectory, rooms: command.rooms };
}

/** The part of that which is the same for every job with this command. */
export function planCommand(spec: CommandSpec): Command {
  const steps: Step[] = [];

  // init.
  closeReleaseSocket(steps);
  const preparation = endPreparation(steps);

  // The payload.
  const payload = forkPayload(steps);
  limitResources(steps, spec.limits);
  becomeUser(steps, spec.user, capabilitiesOf(spec));
  executeCommand(steps, spec);

  // init again: it goes on where it made the payload.
  forgetPrivileges(steps);
  const ending = awaitPayload(steps, payload);
  return { steps, rooms: { ...preparation, ...ending } };
}

/** What root inside keeps. */
function capabilitiesOf({ build }: Pick<ContainerShape, "build">): readonly Capability[] {
  return build === undefined ? [] : BUILD_CAPABILITIES;
}
