import type { ContainerSpec } from "../spec.ts";
import { resultOf } from "./arguments.ts";
import { beginAccounting, endPreparation, joinCgroup, type PreparationRooms } from "./cgroup.ts";
import {
  BUILD_CAPABILITIES,
  boundCapabilities,
  closeDescriptors,
  enterUserNamespace,
  filterSystemCalls,
  forgetPrivileges,
} from "./credentials.ts";
import { makeDevices } from "./devices.ts";
import type { HostFacts, SlotFacts } from "./facts.ts";
import { writeFiles } from "./files.ts";
import { dieWithWorker, enterNamespaces, leaveLauncher, nameHost } from "./namespaces.ts";
import { becomeUser, executeCommand, forkPayload, limitResources } from "./payload.ts";
import { joinNetwork, mountResolverConfiguration } from "./network.ts";
import { attachRoot, pivotRoot } from "./pivot-root.ts";
import { mountProc } from "./proc.ts";
import { awaitPayload, type EndingRooms } from "./reaping.ts";
import type { DescriptorArgument, Step } from "./step.ts";
import { attachTemporary, makeTemporary, type TemporaryMount } from "./temporary.ts";
import { mountUnion, type UnionMount } from "./union-mount.ts";
import { attachVolumes, openVolumes, type Volume } from "./volumes.ts";

/** Everything that will happen for one container. */
export interface Plan {
  readonly steps: readonly Step[];
  /** The mounts that the slot reads from when the container has ended. */
  readonly mounts: UnionMount;
  /** Where the job's files are, whatever a program puts in its place; undefined where there is nothing to write to. */
  readonly workingDirectory: DescriptorArgument | undefined;
  /** The other file systems that the container can write to. */
  readonly temporary: readonly TemporaryMount[];
  /** The host's directories in it. */
  readonly volumes: readonly Volume[];
  /** The step that makes init; its result is init's process id, as the worker sees it. */
  readonly init: Step;
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
export function planContainer(spec: ContainerSpec, slot: SlotFacts, host: HostFacts): Plan {
  const steps: Step[] = [];

  // The slot: what must be there before, and can be read afterwards.
  const mounts = mountUnion(steps, spec, slot, host);
  const temporary = makeTemporary(steps, spec, mounts);
  const workingDirectory = writeFiles(steps, spec, slot, mounts);
  const volumes = openVolumes(steps, spec, slot);

  // The launcher, then init with the host's root still in sight.
  joinNetwork(steps, spec, slot);
  const init = enterNamespaces(steps, slot);
  joinCgroup(steps, slot);
  const beginning = beginAccounting(steps);
  nameHost(steps);
  const root = resultOf(mounts.root);
  attachRoot(steps, slot, root);
  mountProc(steps, root, slot, host);
  makeDevices(steps, root);
  attachTemporary(steps, root, temporary);
  attachVolumes(steps, root, volumes);
  if (spec.network?.kind === "host") mountResolverConfiguration(steps, root);
  pivotRoot(steps, root);

  // init gives up what it could do outside.
  enterUserNamespace(steps, slot);
  const capabilities = spec.build === undefined ? [] : BUILD_CAPABILITIES;
  boundCapabilities(steps, capabilities);
  dieWithWorker(steps, slot);
  closeDescriptors(steps);
  filterSystemCalls(steps, host);
  const preparation = endPreparation(steps);

  // The payload.
  const payload = forkPayload(steps);
  limitResources(steps, spec.limits);
  becomeUser(steps, spec.user, capabilities);
  executeCommand(steps, spec);

  // init again, then the launcher again: each goes on where the process it made left off.
  forgetPrivileges(steps);
  const ending = awaitPayload(steps, payload);
  leaveLauncher(steps);
  return {
    steps,
    mounts,
    workingDirectory,
    temporary,
    volumes,
    init,
    rooms: { ...beginning, ...preparation, ...ending },
  };
}
