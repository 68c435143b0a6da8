/**
 * A container up to the point where it needs to know its job, and from there to its start.
 *
 *   slot                                         launcher, init
 *   prepare    mounts, plan ── posix_spawn ────▶ clone3 ─▶ cgroup, mounts, pivot_root, credentials, seccomp
 *                                                          recvmsg … waits, with nothing open but its socket
 *   release    files, the rest of the plan
 *              sendmsg(stdin, stdout, stderr) ─▶           clone ─▶ payload: limits, ids, execve
 *
 * Every container is made in these two strokes. A cold one is released at once: what its job needs is done while init
 * prepares itself, on another core if there is one. A warm one was prepared before there was a job (waiting-containers.ts), and is
 * no different: it is as new, has seen as little, and is used once.
 */
import { closeSync, fchmodSync, openSync } from "node:fs";
import type { Cgroup } from "../../cgroup/cgroup.ts";
import { AT, O } from "../../linux/constants.ts";
import { openSocketPair, sendDescriptors } from "../../linux/descriptor-socket.ts";
import { cString, systemCall } from "../../linux/libc.ts";
import { Pipe } from "../../linux/pipe.ts";
import { ChildProcess, reap } from "../../linux/process.ts";
import { SlotSteps, type StepFailure } from "../interpret.ts";
import { planPreparation, type Preparation } from "../plan/plan.ts";
import type { MountedLayer } from "../plan/facts.ts";
import type { ContainerShape } from "../plan/shape.ts";
import type { Step } from "../plan/step.ts";
import type { SetupFailure } from "../spec.ts";
import type { SlotContext } from "./context.ts";
import { type Inspection, Launch } from "./launcher.ts";
import { fillVolumes, makeMountPoints } from "./prepare-volumes.ts";
import { attempt, setupFailure } from "./setup-failure.ts";
import { SocketWatch } from "./socket-watch.ts";
import { tracePhase } from "./trace.ts";
import { monotonicMs } from "./usage.ts";

/** A container whose init waits to be released, or is on its way there. */
export class PreparedContainer implements Disposable {
  readonly preparation: Preparation;
  readonly cgroup: Cgroup;
  readonly socketWatch: SocketWatch;
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
  readonly #launch: Launch;
  readonly #socket: number;
  readonly #resources: DisposableStack;
  #init: ChildProcess | LaunchFailure | undefined;

  private constructor(
    parts: Pick<
      PreparedContainer,
      "preparation" | "cgroup" | "slotSteps" | "layers" | "socketWatch" | "nothing" | "stdout" | "stderr"
    >,
    launch: Launch,
    socket: number,
    resources: DisposableStack,
  ) {
    this.preparation = parts.preparation;
    this.cgroup = parts.cgroup;
    this.slotSteps = parts.slotSteps;
    this.layers = parts.layers;
    this.socketWatch = parts.socketWatch;
    this.nothing = parts.nothing;
    this.stdout = parts.stdout;
    this.stderr = parts.stderr;
    this.#launch = launch;
    this.#socket = socket;
    this.#resources = resources;
  }

  /**
   * Makes a container of a shape, in a network that the slot has ready.
   * @param isCanceled asked for every file that a volume is filled with: once it says so, that is given up
   * @throws {SystemCallError}
   */
  static prepare(
    context: SlotContext,
    shape: ContainerShape,
    isCanceled: () => boolean,
  ): PreparedContainer | SetupFailure {
    using resources = new DisposableStack();
    const cgroup = resources.use(context.createCgroup());
    tracePhase("cgroup");
    const sockets = openSocketPair();
    const socket = resources.adopt(sockets.near, closeSync);
    const socketWatch = resources.use(new SocketWatch(socket));
    const { networks } = context;
    const network = resources.adopt(networks.take(), (it) => {
      if (usesOwnNetwork(shape) && socketWatch.hasMadeSocket) closeSync(it);
      else networks.putBack(it);
    });
    using far = new DisposableStack();
    far.adopt(sockets.far, closeSync);
    const releaseSocket = { kind: "held", descriptor: sockets.far, text: "socket of the slot" } as const;
    const facts = {
      ...context.facts(shape.layers),
      cgroup: cgroup.entry,
      network: { kind: "held", descriptor: network, text: "network namespace of the container" } as const,
      releaseSocket,
    };
    const preparation = planPreparation(shape, facts, context.host);
    tracePhase("plan");

    const slotSteps = resources.use(new SlotSteps());
    const failure = slotSteps.execute(preparation.steps);
    if (failure !== undefined) return setupFailure(preparation.steps, failure);
    tracePhase("slot steps");
    const obstacle =
      attempt("mount points", () => makeMountPoints(shape, preparation, slotSteps, context.idBase)) ??
      attempt("volumes", () => fillVolumes(preparation, slotSteps, context.idBase, isCanceled));
    if (obstacle !== undefined) return obstacle;

    const { nothing: silence } = context;
    const launch = resources.use(
      new Launch(preparation.steps, { stdin: silence, stdout: silence, stderr: silence }, slotSteps),
    );
    tracePhase("spawn");
    cgroup.openAccounts();
    const nothing = resources.adopt(openSync("/dev/null", "r"), closeSync);
    const [stdout, stderr] = [resources.use(Pipe.open()), resources.use(Pipe.open())];
    // Programs open /dev/stdout anew, as the user that they are; nobody else has these pipes.
    for (const { writeEnd } of [stdout, stderr]) fchmodSync(writeEnd, 0o666);
    const parts = { preparation, cgroup, slotSteps, layers: facts.layers, socketWatch, nothing, stdout, stderr };
    return new PreparedContainer(parts, launch, socket, resources.move());
  }

  /** Waits until the launcher has made init, and returns that. */
  awaitInit(): ChildProcess | LaunchFailure {
    this.#init ??= this.#findInit();
    return this.#init;
  }

  /** Whether init still waits. */
  isWaiting(): boolean {
    const init = this.awaitInit();
    return init instanceof ChildProcess && !init.hasEnded();
  }

  /**
   * Lets init go on with these steps, and gives it the program's streams.
   * @param stdin the caller's, who closes it, where it is another than the container's own; so `stdout`
   */
  release(steps: readonly Step[], stdin = this.nothing, stdout = this.stdout.writeEnd): void {
    this.#launch.addSteps(steps);
    // One that has died meanwhile is found out by its init, as any that dies.
    sendDescriptors(this.#socket, [stdin, stdout, this.stderr.writeEnd]);
    this.stdout.closeWriteEnd();
    this.stderr.closeWriteEnd();
  }

  /** What has come of the plan so far. */
  inspect(): Inspection {
    return this.#launch.inspect();
  }

  /** Kills whatever is left of it, and takes all of it away. */
  [Symbol.dispose](): void {
    // A launcher that is still on its way would make an init that nobody knows.
    this.awaitInit();
    this.#resources.dispose();
  }

  #findInit(): ChildProcess | LaunchFailure {
    reap(this.#launch.pid);
    const launched = this.inspect();
    const { init } = this.preparation;
    const pid = launched.result(init);
    if (pid === 0) {
      const { step = init, errno = 0 } = launched.failure ?? {};
      return { kind: "not launched", step, errno };
    }
    this.#holdMounts(pid);
    return this.#resources.use(new ChildProcess(pid));
  }

  /**
   * Keeps the container's mount namespace for as long as its init is not taken away: with the last process of it, its
   * mounts would go before the slot learns of the end, and a result would wait for that.
   */
  #holdMounts(pid: number): void {
    const namespace = systemCall("openat", AT.AT_FDCWD, cString(`/proc/${pid}/ns/mnt`), O.O_RDONLY | O.O_CLOEXEC);
    if (namespace >= 0) this.#resources.adopt(namespace, closeSync);
  }
}

/** Whether a container is in the network that was taken for it. */
function usesOwnNetwork({ network }: ContainerShape): boolean {
  return network === undefined || network.kind === "none";
}

/** A plan that failed before there was a container. */
export type LaunchFailure = { readonly kind: "not launched" } & StepFailure;
