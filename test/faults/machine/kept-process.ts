import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { bareEnvironment } from "../../support/environment.ts";

/** How soon a program that ended by itself is started again, as a supervisor does. */
const RESTART_MS = 500;

/**
 * How long after a fault a program may still end of it: a worker looks after its directory every five seconds, and drains
 * before it ends; and meanwhile it may be stopped, or Redis away, by the next fault.
 */
const AFTERMATH_MS = 60_000;

/** How long a program that is told to end may take, before it is killed. */
const PATIENCE_MS = 45_000;

export interface ProcessOptions {
  readonly name: string;
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** What it reads from its stdin. */
  readonly input?: string;
  /** File that gets what it prints, of all its lives. */
  readonly log: string;
}

/** A program that is started again whenever it ends, until it is told to stop. */
export class KeptProcess implements AsyncDisposable {
  readonly name: string;
  /** How it ended when nobody here had killed it, e.g. `exit code 1`. */
  readonly ownEnds: string[] = [];
  /** Those of them to which no fault has brought it. */
  readonly unexplainedEnds: string[] = [];
  readonly #options: ProcessOptions;
  readonly #excuses: { readonly end: string; untilMs: number }[] = [];
  #child: ChildProcess;
  /** `held`: killed, and not to be started before that is over. */
  #purpose: "keep" | "hold" | "stop" = "keep";

  constructor(options: ProcessOptions) {
    this.name = options.name;
    this.#options = options;
    this.#child = this.#start();
  }

  /** Of its present life; undefined between two. */
  get pid(): number | undefined {
    return hasEnded(this.#child) ? undefined : this.#child.pid;
  }

  /** Says that a fault that begins now may bring it to this end. To be disposed of when the fault is over. */
  excuse(end: string): Disposable {
    const excuse = { end, untilMs: Infinity };
    this.#excuses.push(excuse);
    return { [Symbol.dispose]: () => void (excuse.untilMs = performance.now() + AFTERMATH_MS) };
  }

  /** Sends a signal that does not end it. @returns whether it was there to get it */
  signal(name: "SIGSTOP" | "SIGCONT"): boolean {
    return this.pid !== undefined && this.#child.kill(name);
  }

  /** Kills it, and starts it again after some time. @returns whether it was there to be killed */
  async kill(backAfterMs: number): Promise<boolean> {
    if (this.pid === undefined || this.#purpose !== "keep") return false;
    this.#purpose = "hold";
    const child = this.#child;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    // As a supervisor does, which starts nothing before it knows the other one to be gone.
    await Promise.all([exited, delay(backAfterMs)]);
    // Whoever stops everything meanwhile wants no new life of it.
    if (this.#purpose === "hold") {
      this.#purpose = "keep";
      this.#child = this.#start();
    }
    return true;
  }

  /** Ends it with SIGTERM. @returns its exit code, or the signal that it took */
  async stop(): Promise<number | string | null> {
    this.#purpose = "stop";
    const child = this.#child;
    if (!hasEnded(child)) {
      const exited = once(child, "exit");
      child.kill("SIGTERM");
      const patience = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
      await exited;
      clearTimeout(patience);
    }
    return child.exitCode ?? child.signalCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#purpose = "stop";
    if (hasEnded(this.#child)) return;
    const exited = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await exited;
  }

  #start(): ChildProcess {
    const { command, environment, input, log } = this.#options;
    const output = openSync(log, "a");
    // With whoever causes the faults, everything they are caused to ends.
    const child = spawn("setpriv", ["--pdeathsig", "KILL", ...command], {
      env: { ...bareEnvironment(), ...environment },
      stdio: ["pipe", output, output],
    });
    closeSync(output);
    child.stdin?.on("error", () => undefined).end(input);
    child.once("exit", () => void this.#onExit(child));
    return child;
  }

  async #onExit(child: ChildProcess): Promise<void> {
    if (this.#purpose !== "keep") return;
    const end = child.signalCode ?? `exit code ${child.exitCode}`;
    this.ownEnds.push(end);
    const isExplained = this.#excuses.some((excuse) => excuse.end === end && performance.now() < excuse.untilMs);
    if (!isExplained) this.unexplainedEnds.push(end);
    await delay(RESTART_MS);
    if (this.#purpose === "keep") this.#child = this.#start();
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}
