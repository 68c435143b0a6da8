/**
 * The steps of image builds in containers of ours: one slot, opened when the first step needs it, with user ids and a
 * cgroup that no worker of this machine has (see {@link WorkerIdentity}).
 */
import { once } from "node:events";
import { Socket } from "node:net";
import { availableParallelism, totalmem } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { limitTable } from "../shared/limits.ts";
import { ContainerRuntime } from "./container/runtime.ts";
import type { Slot } from "./container/slot.ts";
import type { ContainerLimits, ContainerSpec, RunResult } from "./container/spec.ts";
import { WorkerIdentity } from "./identity.ts";
import { settleInThread } from "./images/changes/pool.ts";
import type { StepEnding, StepRequest, StepRunner } from "./images/dockerfile/step-runner.ts";
import { Pipe } from "./linux/pipe.ts";

export interface StepContainersOptions {
  readonly dataDirectory: string;
  /** The host's first id for containers; the ids of running workers are passed over. */
  readonly idBase: number;
  /** How long one step may take, in milliseconds. */
  readonly stepTimeMs?: number;
}

const HOUR_MS = 3_600_000;
const MiB = 1024 * 1024;

/** How many of a step's last lines explain its failure. */
const KEPT_LINES = 20;

interface Place {
  readonly slot: Slot;
  readonly idBase: number;
}

export class StepContainers implements StepRunner, AsyncDisposable {
  readonly #options: StepContainersOptions;
  readonly #resources = new AsyncDisposableStack();
  #place: Promise<Place> | undefined;

  constructor(options: StepContainersOptions) {
    this.#options = options;
  }

  async run(request: StepRequest, signal: AbortSignal): Promise<StepEnding> {
    this.#place ??= this.#open();
    const { slot, idBase } = await this.#place;
    const lines: string[] = [];
    const result = await this.#execute(slot, request, signal, (line) => {
      lines.push(line);
      if (lines.length > KEPT_LINES) lines.shift();
      request.onLine(line);
    });
    if (result.outcome !== "exited" || result.exitCode !== 0) {
      return { kind: "failed", ending: describeEnding(result), lines };
    }
    const directory = join(request.scratchDirectory, "upper");
    const changes = await settleInThread({ directory, idBase }, signal);
    if (changes.kind === "refused") throw new Error(`what the step wrote cannot be a layer: ${changes.reason}`);
    const succeeded = { kind: "succeeded" } as const;
    return changes.kind === "changed"
      ? { ...succeeded, changes: "changed", directory }
      : { ...succeeded, changes: "unchanged" };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }

  async #open(): Promise<Place> {
    const { dataDirectory, idBase } = this.#options;
    const identity = this.#resources.use(await WorkerIdentity.take({ idBase, slots: 1 }));
    const runtime = this.#resources.use(
      new ContainerRuntime({ dataDirectory, idBase: identity.idBase, worker: identity.name }),
    );
    return { slot: this.#resources.use(await runtime.openSlot(0)), idBase: identity.idBase };
  }

  async #execute(
    slot: Slot,
    request: StepRequest,
    signal: AbortSignal,
    onLine: (line: string) => void,
  ): Promise<RunResult> {
    const pipe = Pipe.open();
    const socket = new Socket({ fd: pipe.readEnd, readable: true, writable: false });
    const reader = createInterface({ input: socket }).on("line", onLine);
    const ended = once(reader, "close");
    try {
      const result = await slot.run(specOf(request, pipe.writeEnd, this.#options.stepTimeMs ?? HOUR_MS), signal);
      switch (result.kind) {
        case "ended":
          return result;
        case "canceled":
          signal.throwIfAborted();
          throw new Error("the step was canceled");
        case "interrupted":
          throw new Error(`the step's container was ended from outside: ${result.reason}`);
        case "failed":
          throw new Error(`the step's container could not be made: ${result.purpose}: ${result.call}: ${result.errno}`);
        default:
          return result satisfies never;
      }
    } finally {
      pipe.closeWriteEnd();
      await ended;
    }
  }
}

function specOf(request: StepRequest, outputDescriptor: number, wallTimeMs: number): ContainerSpec {
  const { work, user, lowerDirs, scratchDirectory } = request;
  return {
    layers: lowerDirs.map((path) => ({ kind: "directory", path })),
    rootfs: "writable",
    command: work.command,
    environment: { ...work.proxies, HOME: user.home, ...work.environment },
    workingDirectory: work.workingDirectory,
    user: { uid: user.uid, gid: user.gid, groups: user.groups },
    files: [],
    stdin: Buffer.from(work.stdin),
    limits: limitsOf(wallTimeMs),
    outputs: [],
    network: { kind: work.network },
    build: { scratchDirectory, outputDescriptor },
  };
}

/** A build does what the operator asked for: it may use the machine, but not take it down. */
function limitsOf(wallTimeMs: number): ContainerLimits {
  const cpus = availableParallelism();
  return {
    cpus,
    cpuTimeMs: wallTimeMs * cpus,
    wallTimeMs,
    memoryBytes: totalmem(),
    processes: limitTable.processes.ceiling,
    outputBytes: 64 * MiB,
    // /dev/shm; what the step writes elsewhere goes to the disk.
    diskBytes: 64 * MiB,
    fileBytes: limitTable.fileBytes.ceiling,
    // Package tools close every descriptor up to the limit, one by one.
    openFiles: 4096,
    stackBytes: 8 * MiB,
  };
}

function describeEnding({ outcome, exitCode, signal }: RunResult): string {
  if (outcome === "exited") return `exit code ${exitCode}`;
  return outcome === "signaled" ? `signal ${signal}` : `${outcome.replace("_", " ")} reached`;
}
