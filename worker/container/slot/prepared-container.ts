/**
 * A container up to the point where it needs to know its job, and from there to its start.
 *
 *   slot                                         launcher, init
 *   sandbox    cgroup, plan ── posix_spawn ────▶ clone3 ─▶ cgroup … waits, the same for every container
 *   prepare    mounts, more of the plan
 *              sendmsg(mounts, network, …) ────▶           mounts, pivot_root, credentials, seccomp
 *                                                          recvmsg … waits, with nothing open but its socket
 *   release    files, the rest of the plan
 *              sendmsg(stdin, stdout, stderr) ─▶           clone ─▶ payload: limits, ids, execve
 *
 * Every container is made in these strokes. The first is over before there is a job, as a rule (sandboxes.ts). A cold one
 * is prepared and released at once: what its job needs is done while init prepares itself, on another core if there is one.
 * A warm one was prepared before there was a job (waiting-containers.ts), and is no different: it is as new, has seen as
 * little, and is used once.
 */
import { closeSync, fchmodSync, openSync } from "node:fs";
import type { Cgroup } from "../../cgroup/cgroup.ts";
import { Pipe } from "../../linux/pipe.ts";
import type { ChildProcess } from "../../linux/process.ts";
import { SlotSteps } from "../interpret.ts";
import { planPreparation, type Preparation } from "../plan/plan.ts";
import type { MountedLayer } from "../plan/facts.ts";
import type { ContainerShape } from "../plan/shape.ts";
import type { Step } from "../plan/step.ts";
import type { SetupFailure } from "../spec.ts";
import type { SlotContext } from "./context.ts";
import type { Inspection } from "./launcher.ts";
import type { Network, NetworkKind } from "./networks.ts";
import { fillVolumes, makeMountPoints } from "./prepare-volumes.ts";
import type { LaunchFailure, Sandbox } from "./sandbox.ts";
import { attempt, setupFailure } from "./setup-failure.ts";
import type { SocketWatch } from "./socket-watch.ts";
import { tracePhase } from "./trace.ts";
import { monotonicMs } from "./usage.ts";

export type { LaunchFailure } from "./sandbox.ts";

/** A container whose init waits to be released, or is on its way there. */
export class PreparedContainer implements Disposable {
  readonly preparation: Preparation;
  /** What its program will read where it is given nothing; opened anew for each: flags and locks are an open file's. */
  readonly nothing: number;
  /** What its program will write to; the slot's copies of their write ends are closed when it is released. */
  readonly stdout: Pipe;
  readonly stderr: Pipe;
  /** Holds what the slot has opened for it. */
  readonly slotSteps: SlotSteps;
  /** When that was, in milliseconds of CLOCK_MONOTONIC. */
  readonly preparedMs = monotonicMs();
  /** What its root is made of. */
  readonly layers: readonly MountedLayer[];
  /** What it is in, unless its shape says otherwise. */
  readonly network: Network;
  readonly #sandbox: Sandbox;
  readonly #resources: DisposableStack;

  private constructor(
    parts: Pick<
      PreparedContainer,
      "preparation" | "slotSteps" | "layers" | "network" | "nothing" | "stdout" | "stderr"
    >,
    sandbox: Sandbox,
    resources: DisposableStack,
  ) {
    this.preparation = parts.preparation;
    this.slotSteps = parts.slotSteps;
    this.layers = parts.layers;
    this.network = parts.network;
    this.nothing = parts.nothing;
    this.stdout = parts.stdout;
    this.stderr = parts.stderr;
    this.#sandbox = sandbox;
    this.#resources = resources;
  }

  /**
   * Makes a container of a shape, of a sandbox and a network that the slot has ready.
   * @param kind of the network
   * @param isCanceled asked for every file that a volume is filled with: once it says so, that is given up
   * @throws {SystemCallError}
   */
  static prepare(
    context: SlotContext,
    shape: ContainerShape,
    kind: NetworkKind,
    isCanceled: () => boolean,
  ): PreparedContainer | SetupFailure {
    using resources = new DisposableStack();
    const sandbox = resources.use(context.sandboxes.take());
    tracePhase("sandbox");
    const network = resources.adopt(context.networks.take(kind), (it) => {
      const hasMadeSocket = isAlone(shape) && sandbox.socketWatch.hasMadeSocket;
      context.leaveNetwork(shape, it, { hasMadeSocket });
    });
    const { descriptor } = network;
    const facts = {
      ...context.facts(shape.layers),
      network: { kind: "held", descriptor, text: "network namespace of the container" } as const,
    };
    const preparation = planPreparation(shape, facts, context.host, sandbox.plan);
    tracePhase("plan");

    const slotSteps = resources.use(new SlotSteps());
    const failure = slotSteps.execute(preparation.steps);
    if (failure !== undefined) return setupFailure(preparation.steps, failure);
    tracePhase("slot steps");
    const obstacle =
      attempt("mount points", () => makeMountPoints(shape, preparation, slotSteps, context.idBase)) ??
      attempt("volumes", () => fillVolumes(preparation, slotSteps, context.idBase, isCanceled));
    if (obstacle !== undefined) return obstacle;

    // Before any of that is taken away, nobody must be left who has it.
    resources.defer(() => sandbox.end());
    sandbox.prepare(preparation.steps, slotSteps);
    tracePhase("preparation");
    sandbox.cgroup.openAccounts();
    const nothing = resources.adopt(openSync("/dev/null", "r"), closeSync);
    const [stdout, stderr] = [resources.use(Pipe.open()), resources.use(Pipe.open())];
    // Programs open /dev/stdout anew, as the user that they are; nobody else has these pipes.
    for (const { writeEnd } of [stdout, stderr]) fchmodSync(writeEnd, 0o666);
    const parts = { preparation, slotSteps, layers: facts.layers, network, nothing, stdout, stderr };
    return new PreparedContainer(parts, sandbox, resources.move());
  }

  get cgroup(): Cgroup {
    return this.#sandbox.cgroup;
  }

  get socketWatch(): SocketWatch {
    return this.#sandbox.socketWatch;
  }

  /** Waits until the launcher has made init, and returns that. */
  awaitInit(): ChildProcess | LaunchFailure {
    return this.#sandbox.awaitInit();
  }

  /** Whether init still waits. */
  isWaiting(): boolean {
    return this.#sandbox.isAlive();
  }

  /**
   * Lets init go on with these steps, and gives it the program's streams.
   * @param stdin the caller's, who closes it, where it is another than the container's own; so `stdout`
   */
  release(steps: readonly Step[], stdin = this.nothing, stdout = this.stdout.writeEnd): void {
    this.#sandbox.release(steps, [stdin, stdout, this.stderr.writeEnd]);
    this.stdout.closeWriteEnd();
    this.stderr.closeWriteEnd();
  }

  /** What has come of the plan so far. */
  inspect(): Inspection {
    return this.#sandbox.inspect();
  }

  /** Kills whatever is left of it, and takes all of it away. */
  [Symbol.dispose](): void {
    this.#resources.dispose();
  }
}

/** Whether a container is in the network that was taken for it: not in that of other containers, nor in the host's. */
function isAlone({ network }: ContainerShape): boolean {
  return network === undefined || network.kind === "none";
}
