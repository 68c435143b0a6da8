/**
 * Keeps a few programs running, in the order they were started, and ends them in the reverse one.
 *
 *     start(redis) ─▶ ready ─▶ start(api) ─▶ ready ─▶ start(worker) ─▶ ready ─▶ … ─▶ stop: worker, api, redis
 *
 * - A program that ends before it was first ready is a failed start: `start` rejects.
 * - One that ends later is started again, after a delay that doubles with each end; when it keeps ending,
 *   `failed` says so, and whoever supervises gives up.
 * - Each program gets a session of its own, so that Ctrl-C in a terminal reaches the supervisor only, which knows the
 *   order. For the same reason it would outlive a supervisor that is killed: setpriv(1) asks the kernel to signal it
 *   when its parent dies (PR_SET_PDEATHSIG).
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { LastLines } from "./last-lines.ts";
import { showLogs } from "./show-logs.ts";

/** A program to be kept running. */
export interface Program {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  readonly environment: Readonly<Record<string, string>>;
  /** What it reads from its stdin; nothing by default. */
  readonly input?: string;
  /** What an exit code of it means, where the code alone says too little. */
  readonly exitMeanings?: Readonly<Record<number, string>>;
  /** `keep`: the last lines, to be quoted when it fails; `show`: on our own stdout, as logs for people in a terminal. */
  readonly output: "show" | "keep";
  /** Sent by the kernel when the supervisor dies without having stopped it. */
  readonly deathSignal: "SIGTERM" | "SIGKILL";
  /** From SIGTERM until SIGKILL. */
  readonly stopTimeoutMs: number;
  /** Resolves when the program does its work; rejects when `signal` is aborted, as it is when the program ends. */
  readonly ready: (signal: AbortSignal) => Promise<void>;
}

/** How often a program that ends is started again. */
export interface Patience {
  /** Before the first new start; doubled for each that follows. */
  readonly firstDelayMs: number;
  readonly longestDelayMs: number;
  /** A program that ran this long has recovered: its next end counts as its first. */
  readonly recoveredMs: number;
  /** One more, and the supervisor gives up. */
  readonly newStartsInARow: number;
}

const defaultPatience: Patience = {
  firstDelayMs: 250,
  longestDelayMs: 10_000,
  recoveredMs: 60_000,
  newStartsInARow: 8,
};

/** Starts programs, keeps them running, and ends them. */
export class Supervisor {
  readonly #report: (line: string) => void;
  readonly #patience: Patience;
  readonly #running: Child[] = [];
  readonly #failed = Promise.withResolvers<string>();
  #stopping = false;

  /** `report` is given one line for each end and each new start. */
  constructor(report: (line: string) => void, patience: Patience = defaultPatience) {
    this.#report = report;
    this.#patience = patience;
  }

  /** Resolves, with the reason, when a program keeps ending. */
  get failed(): Promise<string> {
    return this.#failed.promise;
  }

  /** Starts a program and resolves when it is ready; rejects when it ends, or another start fails, before that. */
  async start(program: Program): Promise<void> {
    if (this.#stopping) throw new Error(`${program.name} is not started: everything is being stopped`);
    const child = new Child(program);
    this.#running.push(child);
    await child.ready;
    void this.#keepRunning(child);
  }

  /** Ends all programs with SIGTERM, last started first, each with SIGKILL at the end of its time. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const child of this.#running.toReversed()) await child.stop();
  }

  /** Ends all programs at once; also those that `stop` is waiting for. */
  kill(): void {
    this.#stopping = true;
    for (const child of this.#running) child.kill();
  }

  async #keepRunning(first: Child): Promise<void> {
    const { program } = first;
    const { firstDelayMs, longestDelayMs, recoveredMs, newStartsInARow } = this.#patience;
    let child = first;
    for (let endsInARow = 1; ; endsInARow++) {
      const started = performance.now();
      const end = await child.ended;
      if (this.#stopping) return;
      if (performance.now() - started > recoveredMs) endsInARow = 1;
      if (endsInARow > newStartsInARow) {
        this.#failed.resolve(`${program.name} keeps ending: ${end}`);
        return;
      }
      const delayMs = Math.min(firstDelayMs * 2 ** (endsInARow - 1), longestDelayMs);
      this.#report(`${end}; starting it again in ${delayMs} ms`);
      await delay(delayMs);
      if (this.#stopping) return;
      const next = new Child(program);
      this.#running[this.#running.indexOf(child)] = next;
      next.ready.then(
        () => this.#report(`${program.name} is back`),
        () => undefined, // `ended` tells
      );
      child = next;
    }
  }
}

/** One life of a program. */
class Child {
  readonly program: Program;
  /** Resolves when the program is ready; rejects with what it said when it ends before. */
  readonly ready: Promise<void>;
  /** Resolves, with a description of the end, when the program has ended. */
  readonly ended: Promise<string>;
  readonly #process: ChildProcess;

  constructor(program: Program) {
    this.program = program;
    const kept = program.output === "keep";
    const forPeople = !kept && process.stdout.isTTY;
    this.#process = spawn("setpriv", ["--pdeathsig", program.deathSignal.slice("SIG".length), ...program.command], {
      env: { ...process.env, ...program.environment },
      stdio: ["pipe", kept || forPeople ? "pipe" : "inherit", kept ? "pipe" : "inherit"],
      detached: true,
    });
    // Its end is reported by `ended`; that it did not read everything before adds nothing.
    this.#process.stdin?.on("error", () => undefined).end(program.input);
    const lines = kept ? new LastLines(this.#process.stdout, this.#process.stderr) : new LastLines();
    if (forPeople && this.#process.stdout !== null) showLogs(this.#process.stdout);
    this.ended = this.#describeEnd(lines);
    this.ready = this.#becomeReady();
  }

  async stop(): Promise<void> {
    if (this.#hasEnded()) return;
    this.#process.kill("SIGTERM");
    const timer = setTimeout(() => this.kill(), this.program.stopTimeoutMs);
    await this.ended;
    clearTimeout(timer);
  }

  kill(): void {
    if (!this.#hasEnded()) this.#process.kill("SIGKILL");
  }

  #hasEnded(): boolean {
    return this.#process.pid === undefined || this.#process.exitCode !== null || this.#process.signalCode !== null;
  }

  async #describeEnd(lines: LastLines): Promise<string> {
    const { name, exitMeanings } = this.program;
    try {
      await once(this.#process, "close");
      const { exitCode, signalCode } = this.#process;
      const meaning = exitMeanings?.[exitCode ?? 0];
      const said = lines.text === "" ? "" : `:\n${lines.text}`;
      return `${name} ended${meaning === undefined ? ` with ${signalCode ?? `exit code ${exitCode}`}` : `: ${meaning}`}${said}`;
    } catch (error) {
      return `${name} cannot be started: ${error instanceof Error ? error.message : String(error)}`;
    }
  }

  async #becomeReady(): Promise<void> {
    const stopAsking = new AbortController();
    const endedFirst = this.ended.then((end) => {
      throw new Error(end);
    });
    try {
      await Promise.race([this.program.ready(stopAsking.signal), endedFirst]);
    } finally {
      stopAsking.abort();
      endedFirst.catch(() => undefined);
    }
  }
}
