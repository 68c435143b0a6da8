/** A worker as a process of its own, started as an operator does it; for tests that kill it. */
import { spawn } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";

const PROGRAM = join(import.meta.dirname, "../../worker/main.ts");

/** How a process ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** What it wrote to stderr. */
  readonly complaints: string;
}

/** A worker process; `await using` ends it with SIGKILL if it still runs. */
export interface WorkerProcess extends AsyncDisposable {
  /** Resolves with its metrics' port when it takes jobs; rejects when it ends before. */
  readonly ready: Promise<number>;
  readonly exit: Promise<Exit>;
  /** Resolves when it has logged this message; rejects when it ends without. */
  said(message: string): Promise<void>;
  signal(name: NodeJS.Signals): void;
}

/** Starts a worker with nothing in its environment but what is stated. */
export function startWorkerProcess(environment: Readonly<Record<string, string>>): WorkerProcess {
  const child = spawn(process.execPath, [PROGRAM], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env["PATH"], LONGSHORE_METRICS_PORT: "0", ...environment },
  });
  let complaints = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (complaints += text));
  const log = new EventEmitter();
  const messages = new Set<string>();
  const ready = Promise.withResolvers<number>();
  createInterface(child.stdout).on("line", (line) => {
    const entry = JSON.parse(line) as { msg: string; metricsPort: number };
    messages.add(entry.msg);
    log.emit("message");
    if (entry.msg === "taking jobs") ready.resolve(entry.metricsPort);
  });
  const exit = once(child, "close").then(([code, signal]): Exit => {
    ready.reject(new Error(`the worker ended before it took jobs: ${complaints}`));
    log.emit("end");
    return { code, signal, complaints };
  });
  // Who does not wait for readiness is not to be bothered with its absence.
  ready.promise.catch(() => undefined);
  return {
    ready: ready.promise,
    exit,
    async said(message) {
      while (!messages.has(message)) {
        if (child.exitCode !== null) throw new Error(`the worker ended and never said ${message}`);
        await Promise.race([once(log, "message"), once(log, "end")]);
      }
    },
    signal: (name) => void child.kill(name),
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await exit;
    },
  };
}
