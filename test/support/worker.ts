/** A worker as a process of its own, started as an operator does it; for tests that kill it. */
import { spawn } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { bareEnvironment } from "./environment.ts";
import type { ProgramCgroup } from "./program-cgroup.ts";
import { removeWorkerCgroups } from "./worker-cgroups.ts";

const PROGRAM = join(import.meta.dirname, "../../worker/main.ts");

/** How long a worker that is told to end may take, before it is killed. */
const PATIENCE_MS = 15_000;

/** How a process ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** What it wrote to stderr. */
  readonly complaints: string;
}

/** A worker process; `await using` ends it, without a drain, if it still runs, and leaves nothing of one that was killed. */
export interface WorkerProcess extends AsyncDisposable {
  /** Resolves with its metrics' port when it takes jobs; rejects when it ends before. */
  readonly ready: Promise<number>;
  /** Resolves with its id in the registry as `ready` does. */
  readonly id: Promise<string>;
  readonly exit: Promise<Exit>;
  /** Resolves when it has logged this message; rejects when it ends without. */
  said(message: string): Promise<void>;
  signal(name: NodeJS.Signals): void;
}

/**
 * Starts a worker with nothing in its environment but what is stated.
 * @param cgroup where it is started, if not in the caller's
 */
export function startWorkerProcess(
  environment: Readonly<Record<string, string>>,
  cgroup?: Pick<ProgramCgroup, "enter">,
): WorkerProcess {
  const command = [process.execPath, PROGRAM];
  const [program = "", ...words] = cgroup?.enter(command) ?? command;
  const child = spawn(program, words, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...bareEnvironment(), LONGSHORE_METRICS_PORT: "0", ...environment },
  });
  let complaints = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (complaints += text));
  const log = new EventEmitter();
  const messages = new Set<string>();
  const ready = Promise.withResolvers<{ metricsPort: number; worker: string }>();
  createInterface(child.stdout).on("line", (line) => {
    const entry = JSON.parse(line) as { msg: string; metricsPort: number; worker: string };
    messages.add(entry.msg);
    log.emit("message");
    if (entry.msg === "taking jobs") ready.resolve(entry);
  });
  const exit = once(child, "close").then(([code, signal]): Exit => {
    ready.reject(new Error(`the worker ended before it took jobs: ${complaints}`));
    log.emit("end");
    return { code, signal, complaints };
  });
  const metricsPort = ready.promise.then((entry) => entry.metricsPort);
  const id = ready.promise.then((entry) => entry.worker);
  // Who does not wait for readiness is not to be bothered with its absence.
  for (const promise of [metricsPort, id]) promise.catch(() => undefined);
  return {
    ready: metricsPort,
    id,
    exit,
    async said(message) {
      while (!messages.has(message)) {
        if (child.exitCode !== null) throw new Error(`the worker ended and never said ${message}`);
        await Promise.race([once(log, "message"), once(log, "end")]);
      }
    },
    signal: (name) => void child.kill(name),
    async [Symbol.asyncDispose]() {
      // Two signals of different kinds, which do not merge into one: it ends at once and takes its cgroups along.
      child.kill("SIGTERM");
      child.kill("SIGINT");
      const patience = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
      const { signal } = await exit;
      clearTimeout(patience);
      const known = await id.catch(() => undefined);
      if (signal === "SIGKILL" && known !== undefined) removeWorkerCgroups(known);
    },
  };
}
