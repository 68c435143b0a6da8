/**
 * A slot: the place for one container at a time. The main thread holds this class; the work is done in a thread of its
 * own (slot/thread.ts), which blocks for as long as its container runs.
 *
 *   main thread                          slot's thread
 *   Slot.run(spec) ── piscina ─────────▶ runContainer … ppoll(init, stdout, stderr, wakeUp)
 *   signal aborted ── eventfd ─────────▶                                        ├▶ kill init
 *   output wanted  ── eventfd ─────────▶                                        └▶ post what there is, and what comes
 *   watch.onOutput ◀── postMessage ─────
 *   result         ◀── postMessage ─────
 *                                        tidy up, prepare a container unless there is another run
 *   ready          ◀── piscina ─────────
 *
 * One task of piscina's for all of it: each costs 75 µs of both threads' time, and a job has 4 ms.
 */
import { closeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { Piscina } from "piscina";
import type { CgroupRoot } from "../cgroup/cgroup.ts";
import type { OutputPiece, OutputWatch } from "./output-watch.ts";
import { closeRunRequests, openRunRequests, requestOfRun, type RunRequestChannel } from "./slot/run-request.ts";
import type { Stock } from "./slot/context.ts";
import type { SlotAnswer, SlotMessage, SlotTask } from "./slot/thread.ts";
import type { WarmthOptions } from "./slot/waiting-containers.ts";
import type { HostFacts } from "./plan/facts.ts";
import type { ContainerResult, ContainerSpec } from "./spec.ts";
import { closeGiven } from "./streams.ts";

/** What a slot is made from. */
export interface SlotOptions {
  /** Unique among the slots of the worker, from 0. */
  readonly index: number;
  /** The host's id of root in this slot's containers; the 65,535 ids above it are the slot's, too. */
  readonly idBase: number;
  /** The worker's data directory. */
  readonly dataDirectory: string;
  /** Where the worker's cgroup is; it has been prepared (`CgroupHierarchy.prepare`). */
  readonly cgroups: CgroupRoot;
  /** What was found out about the machine. */
  readonly host: HostFacts;
  /** What is prepared ahead of runs; nothing when left out. */
  readonly warmth?: WarmthOptions;
}

const COLD: WarmthOptions = { containersMax: 0, idleMs: 0 };

/** What the slot's thread is started with. */
export interface SlotThreadData extends SlotOptions {
  readonly warmth: WarmthOptions;
  /** On which runs are told to end. */
  readonly cancellation: RunRequestChannel;
  /** On which runs are told to show their output. */
  readonly watch: RunRequestChannel;
  /** A 32-bit number: the latest run that was asked for. Nothing is prepared after the ones before it. */
  readonly latestRun: SharedArrayBuffer;
}

type SlotPool = Piscina<SlotTask, SlotAnswer>;

/** How often a slot that has nothing to do looks whether what it has prepared is still wanted, and up to date. */
const REVIEW_MS = 10_000;

/** How long a slot that could not tidy up waits before it tries again. */
const RECOVERY_PAUSE_MS = 1000;

function openPool(workerData: SlotThreadData): SlotPool {
  return new Piscina({
    filename: new URL("slot/thread.ts", import.meta.url).href,
    name: "default",
    minThreads: 1,
    maxThreads: 1,
    concurrentTasksPerWorker: 1,
    workerData,
    // Descriptors are opened and closed through the kernel's interface, which Node's book-keeping does not see.
    trackUnmanagedFds: false,
    // Nobody reads its histogram, of 0.9 MB.
    recordTiming: false,
  });
}

/** A network that containers can join (`ContainerSpec.network`); it lasts until this is disposed of and they ended. */
export interface SharedNetwork extends Disposable {
  readonly descriptor: number;
}

/** The upper directory of an overlay that is gone. */
export interface KeptDirectory {
  /** A link in /proc: the directory is behind it, on a file system that is mounted nowhere. */
  readonly path: string;
  /** The host's id of the container's root, to which files belong. */
  readonly idBase: number;
}

/** What is to become of the messages of the run that is under way. */
interface CurrentRun {
  readonly run: number;
  readonly resolve: (result: ContainerResult) => void;
  readonly onOutput: (piece: OutputPiece) => void;
}

/** A place for one container at a time. */
export class Slot implements AsyncDisposable {
  readonly index: number;
  readonly #data: SlotThreadData;
  readonly #latestRun: Int32Array;
  #pool: SlotPool;
  #current: CurrentRun | undefined;
  #waiting = 0;
  #isReady = false;
  #review: NodeJS.Timeout | undefined;
  /** Settles when the slot is ready for the next container. */
  #tidied: Promise<SlotAnswer>;

  private constructor(data: SlotThreadData) {
    this.index = data.index;
    this.#data = data;
    this.#latestRun = new Int32Array(data.latestRun);
    this.#pool = this.#openPool();
    this.#tidied = this.#pool.run({ kind: "tidy" });
  }

  /**
   * Starts the slot's thread and has it make its namespaces.
   * @throws when the machine does not allow it (see `longshore doctor`)
   */
  static async open(options: SlotOptions): Promise<Slot> {
    const channels = { cancellation: openRunRequests(), watch: openRunRequests() };
    const slot = new Slot({ warmth: COLD, ...options, ...channels, latestRun: new SharedArrayBuffer(4) });
    try {
      await slot.#tidied;
      slot.#isReady = true;
    } catch (error) {
      await slot[Symbol.asyncDispose]();
      throw error;
    }
    return slot;
  }

  /**
   * Runs one container. Call it only when the last run has settled: a slot has one place.
   *
   * @param signal ends the container when aborted; the result is then `canceled`
   * @param watch gets what the program writes, when it wants it
   * @throws when the slot's thread died, and the next run gets a new one; or when what the last container left still
   *   cannot be taken away, which a new thread has tried then
   */
  async run(spec: ContainerSpec, signal: AbortSignal, watch?: OutputWatch): Promise<ContainerResult> {
    // At once: from here on nothing is prepared for the time after.
    const run = Atomics.add(this.#latestRun, 0, 1) + 1;
    this.#isReady = false;
    try {
      await this.#recover();
      signal.throwIfAborted();
    } catch (error) {
      closeGiven(spec);
      if (signal.aborted) return { kind: "canceled" };
      throw error;
    }
    const cancel = (): void => requestOfRun(this.#data.cancellation, run);
    signal.addEventListener("abort", cancel, { once: true });
    using _watching = watch === undefined ? undefined : this.#requestOutput(run, watch);
    const { promise: answered, resolve } = Promise.withResolvers<ContainerResult>();
    this.#current = { run, resolve, onOutput: (piece) => watch?.onOutput(piece) };
    const ready = this.#pool.run({ kind: "run", run, spec });
    try {
      // Only where there is no result is it over before there is one.
      return await Promise.race([answered, ready.then(() => answered)]);
    } finally {
      this.#current = undefined;
      signal.removeEventListener("abort", cancel);
      this.#tidied = ready.then(insistOnTidiness, () => this.#pool.run({ kind: "tidy" }));
      // Where that fails, the next run sees to it.
      this.#tidied
        .then((answer) => this.#prepareAhead(run, answer))
        .then(() => (this.#isReady = this.#isLatest(run)))
        .catch(() => undefined);
    }
  }

  /** Whether a run would begin at once: nothing is left of the last one, and nothing is being prepared. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** Containers that are prepared for runs to come. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Prepares a container for a run that is to come; does nothing where that has one, or can have none. */
  async prepareFor(spec: ContainerSpec): Promise<void> {
    await this.#recover();
    this.#note(await this.#pool.run({ kind: "prepare", announced: spec }));
  }

  /** Lets go of all containers that are prepared. */
  async dropWaiting(): Promise<void> {
    await this.#recover();
    await this.#pool.run({ kind: "drop" });
    this.#waiting = 0;
  }

  /**
   * Where the layer that a run kept can be read until it is released, by this process and its children.
   * @throws when the slot keeps none of this name
   */
  async keptLayer(name: string): Promise<KeptDirectory> {
    await this.#recover();
    const descriptor = await this.#pool.run({ kind: "locate", name });
    if (typeof descriptor !== "number") throw new Error("the slot answered without a layer");
    return { path: `/proc/${process.pid}/fd/${descriptor}`, idBase: this.#data.idBase };
  }

  /** Lets go of a layer that a run kept (`keepLayerAs`). */
  async release(name: string): Promise<void> {
    await this.#recover();
    await this.#pool.run({ kind: "release", name });
  }

  /**
   * Makes a network for several containers, which then find each other on its loopback: those of this slot, one after
   * the other, and those of other slots of this process, at the same time. Nothing else is in it, as in any other.
   */
  async openNetwork(): Promise<SharedNetwork> {
    await this.#recover();
    const descriptor = await this.#pool.run({ kind: "open network" });
    if (typeof descriptor !== "number") throw new Error("the slot answered without a network");
    return { descriptor, [Symbol.dispose]: () => closeSync(descriptor) };
  }

  /** Ends the slot's thread, and with it whatever runs in it. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#review);
    Atomics.add(this.#latestRun, 0, 1);
    await this.#tidied.then(() => this.#pool.run({ kind: "drop" })).catch(() => undefined);
    await this.#pool.destroy();
    closeRunRequests(this.#data.cancellation);
    closeRunRequests(this.#data.watch);
  }

  /**
   * Prepares containers, one after the other, until the next run comes: it waits for one of them at most. Then looks after
   * them from time to time.
   * @param answer what the slot has prepared so far; undefined where it has not looked
   */
  async #prepareAhead(run: number, answer: SlotAnswer): Promise<void> {
    if (this.#data.warmth.containersMax === 0) return;
    for (let next = answer === undefined ? "more" : this.#note(answer).next; next === "more";) {
      if (!this.#isLatest(run)) return;
      ({ next } = this.#note(await this.#pool.run({ kind: "prepare" })));
    }
    if (!this.#isLatest(run) || this.#waiting === 0) return;
    this.#review = setTimeout(() => {
      if (!this.#isLatest(run)) return;
      this.#tidied = this.#pool.run({ kind: "tidy" });
      this.#tidied.then((untold) => this.#prepareAhead(run, untold)).catch(() => undefined);
    }, REVIEW_MS).unref();
  }

  #isLatest(run: number): boolean {
    return Atomics.load(this.#latestRun, 0) === run;
  }

  #note(answer: SlotAnswer): Stock {
    if (typeof answer !== "object" || !("waiting" in answer)) throw new Error("the slot does not say what it has");
    this.#waiting = answer.waiting;
    return answer;
  }

  /** Has a run show what it writes as soon as that is wanted, until it is disposed of. */
  #requestOutput(run: number, { wanted }: OutputWatch): Disposable {
    const request = (): void => requestOfRun(this.#data.watch, run);
    if (wanted.aborted) request();
    else wanted.addEventListener("abort", request, { once: true });
    return { [Symbol.dispose]: () => wanted.removeEventListener("abort", request) };
  }

  #openPool(): SlotPool {
    const pool = openPool(this.#data);
    pool.on("message", (message: SlotMessage) => this.#receive(message));
    return pool;
  }

  #receive(message: SlotMessage): void {
    const current = this.#current;
    // What an earlier run wrote last may be on its way still.
    if (current?.run !== message.run) return;
    switch (message.kind) {
      case "output":
        current.onOutput(message.piece);
        break;
      case "result":
        current.resolve(message.result);
        break;
      default:
        message satisfies never;
    }
  }

  /**
   * Waits until the slot is ready for another container. Where the last one could not be taken away, it gets a new thread,
   * which sweeps: a fault that has passed is forgotten, one that lasts is each run's to report. The pause keeps a slot
   * with a lasting fault from failing one job after the other while others have places for them.
   */
  async #recover(): Promise<void> {
    const isReady = await this.#tidied.then(
      () => true,
      () => false,
    );
    if (isReady) return;
    await sleep(RECOVERY_PAUSE_MS);
    // They would die with the thread, and nobody would wait for them.
    await this.#pool.run({ kind: "drop" }).catch(() => undefined);
    this.#waiting = 0;
    await this.#pool.destroy();
    this.#pool = this.#openPool();
    this.#tidied = this.#pool.run({ kind: "tidy" });
    await this.#tidied;
  }
}

/** @throws what kept the slot from taking away what the run left */
function insistOnTidiness(answer: SlotAnswer): SlotAnswer {
  if (typeof answer === "object" && "leftOver" in answer) throw answer.leftOver;
  return answer;
}
