import { closeSync } from "node:fs";
import type { Cgroup } from "../../cgroup/cgroup.ts";
import { AT, O } from "../../linux/constants.ts";
import { openSocketPair, sendDescriptors } from "../../linux/descriptor-socket.ts";
import { cString, systemCall } from "../../linux/libc.ts";
import { SystemCallError } from "../../linux/errno.ts";
import { ChildProcess, reap } from "../../linux/process.ts";
import { SlotSteps, type StepFailure } from "../interpret.ts";
import type { HeldDescriptor, HostFacts } from "../plan/facts.ts";
import { planSandbox, type Sandbox as SandboxPlan } from "../plan/plan.ts";
import type { Step } from "../plan/step.ts";
import { type Inspection, Launch } from "./launcher.ts";
import { SocketWatch } from "./socket-watch.ts";

/** Where sandboxes are made. */
export interface SandboxPlace {
  /** See `SlotFacts`. */
  readonly staging: string;
  readonly host: HostFacts;
  /** A descriptor that leads nowhere. */
  readonly nothing: number;
}

/** A sandbox of which there is no init. */
export type LaunchFailure = { readonly kind: "not launched" } & StepFailure;

/**
 * Namespaces and a cgroup with an init in them, which goes on with a plan whenever the slot has more of it. It knows
 * nothing of what it is for, and is used once.
 */
export class Sandbox implements Disposable {
  readonly plan: SandboxPlan;
  readonly cgroup: Cgroup;
  readonly socketWatch: SocketWatch;
  readonly #launch: Launch;
  /** The slot's end. */
  readonly #socket: number;
  readonly #resources: DisposableStack;
  /** What is to be taken away before anything that it uses. */
  readonly #processes = new DisposableStack();
  #init: ChildProcess | LaunchFailure | undefined;

  private constructor(
    parts: Pick<Sandbox, "plan" | "cgroup" | "socketWatch">,
    launch: Launch,
    socket: number,
    resources: DisposableStack,
  ) {
    this.plan = parts.plan;
    this.cgroup = parts.cgroup;
    this.socketWatch = parts.socketWatch;
    this.#launch = launch;
    this.#socket = socket;
    this.#resources = resources;
  }

  /**
   * Makes one, without waiting until it is made.
   * @param made its cgroup, which is the sandbox's from here on
   * @throws {SystemCallError}
   */
  static make(made: Cgroup, { staging, host, nothing }: SandboxPlace): Sandbox {
    using resources = new DisposableStack();
    const cgroup = resources.use(made);
    const sockets = openSocketPair();
    const socket = resources.adopt(sockets.near, closeSync);
    const socketWatch = resources.use(new SocketWatch(socket));
    using far = new DisposableStack();
    const releaseSocket: HeldDescriptor = {
      kind: "held",
      descriptor: far.adopt(sockets.far, closeSync),
      text: "socket of the slot",
    };
    const plan = planSandbox({ staging, cgroup: cgroup.entry, releaseSocket }, host);
    using slotSteps = new SlotSteps();
    const failure = slotSteps.execute(plan.steps);
    if (failure !== undefined) throw new SystemCallError(failure.step.call, failure.errno);
    const streams = { stdin: nothing, stdout: nothing, stderr: nothing };
    const launch = resources.use(new Launch(plan.steps, streams, slotSteps));
    return new Sandbox({ plan, cgroup, socketWatch }, launch, socket, resources.move());
  }

  /** Waits until the launcher has made init, and returns that. */
  awaitInit(): ChildProcess | LaunchFailure {
    this.#init ??= this.#findInit();
    return this.#init;
  }

  /** Whether init still lives. */
  isAlive(): boolean {
    const init = this.awaitInit();
    return init instanceof ChildProcess && !init.hasEnded();
  }

  /**
   * Lets init go on with these steps.
   * @param slotSteps knows the descriptors that they name
   */
  prepare(steps: readonly Step[], slotSteps: SlotSteps): void {
    const needed = this.#launch.addSteps(steps);
    this.#send(needed.map((argument) => slotSteps.descriptor(argument)));
  }

  /** Lets init go on with the last steps, and gives it the program's stdin, stdout and stderr. */
  release(steps: readonly Step[], streams: readonly [number, number, number]): void {
    this.#launch.addCommand(steps);
    this.#send(streams);
  }

  /** What has come of its plan so far. */
  inspect(): Inspection {
    return this.#launch.inspect();
  }

  /** Kills whatever is in it, and waits for that. */
  end(): void {
    // A launcher that is still on its way would make an init that nobody knows.
    this.awaitInit();
    this.#processes.dispose();
  }

  /** Kills whatever is in it, and takes all of it away. */
  [Symbol.dispose](): void {
    this.end();
    this.#resources.dispose();
  }

  /** An init that has died meanwhile is found out as any that dies. */
  #send(descriptors: readonly number[]): void {
    sendDescriptors(this.#socket, descriptors);
  }

  #findInit(): ChildProcess | LaunchFailure {
    reap(this.#launch.pid);
    const launched = this.inspect();
    const { init } = this.plan;
    const pid = launched.result(init);
    if (pid === 0) {
      const { step = init, errno = 0 } = launched.failure ?? {};
      return { kind: "not launched", step, errno };
    }
    this.#holdMounts(pid);
    return this.#processes.use(new ChildProcess(pid));
  }

  /**
   * Keeps the container's mount namespace for as long as its init is not taken away: with the last process of it, its
   * mounts would go before the slot learns of the end, and a result would wait for that.
   */
  #holdMounts(pid: number): void {
    const namespace = systemCall("openat", AT.AT_FDCWD, cString(`/proc/${pid}/ns/mnt`), O.O_RDONLY | O.O_CLOEXEC);
    if (namespace >= 0) this.#processes.adopt(namespace, closeSync);
  }
}
