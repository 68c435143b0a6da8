/**
 * Containers that wait for their jobs.
 *
 * What a slot is asked for now it is likely to be asked for again, so it keeps containers of the shapes most in demand
 * prepared: one of each, made while the slot has nothing else to do. Each is used once, by the next job that it fits,
 * and a new one takes its place; a job that none fits has its own made on demand, and finds no other difference.
 *
 *   run ── take ──▶ fits? ─▶ warm                        tidy ─▶ drop those out of demand or of date
 *           │         └────▶ cold                        prepare ─▶ the shape most in demand that nothing waits for
 *           └ demand of its shape: + 1, of all others: × 0.9
 *
 * Nothing of an earlier job can be seen in one: it is made as any other, and shares with those before it what every
 * container of the slot does (user namespace, layers, /dev), and a network in which no program has made a socket. It takes
 * about 0.12 MB of the kernel's memory, and 0.06 MB of the worker's.
 */
import type { CgroupLimits } from "../../cgroup/cgroup.ts";
import { type ContainerShape, shapeKey } from "../plan/shape.ts";
import type { ContainerSpec } from "../spec.ts";
import type { NetworkKind } from "./networks.ts";

/** How many containers wait, and how long. Plain data. */
export interface WarmthOptions {
  /** Of one slot, at once; 0 for none. */
  readonly containersMax: number;
  /** How long one waits for a job that it fits, in milliseconds. */
  readonly idleMs: number;
}

/** What remains of the demand for a shape with each run of another. */
const FADING = 0.9;

/** A shape has come twice, and the first time no more than a dozen runs ago. */
const DEMAND_MIN = 1.25;

/** Demand below this is forgotten. */
const DEMAND_NONE = 0.05;

/** By how much a shape must be in greater demand to take another's place: between equals, places would change all the time. */
const DISPLACEMENT = 2;

/** After so many runs without a socket, the next one of the same shape is expected to make none, either. */
const QUIET_RUNS = 10;

/** What a container is prepared for. */
export interface Expected {
  readonly shape: ContainerShape;
  readonly limits: CgroupLimits;
  /** Its own where the program may well make a socket: the others in a common one would not be used any more. */
  readonly network: NetworkKind;
}

/** A container that waits. Disposing of it takes it away. */
interface Waiting extends Disposable {
  /** Whether it still does. */
  isWaiting(): boolean;
}

/** How much a shape is wanted, and what waits for it. */
interface Demand<Container> {
  readonly shape: ContainerShape;
  /** Those of the last run, which the next may well have. */
  limits: CgroupLimits;
  score: number;
  lastMs: number;
  /** How many runs there were since a program made a socket; Infinity where none has. */
  quietRuns: number;
  waiting: Container | undefined;
}

export class WaitingContainers<Container extends Waiting> {
  readonly #options: WarmthOptions;
  readonly #isCurrent: (shape: ContainerShape, container: Container) => boolean;
  readonly #demands = new Map<string, Demand<Container>>();

  /** @param isCurrent whether a container is made of what is at its layers' places now */
  constructor(options: WarmthOptions, isCurrent: (shape: ContainerShape, container: Container) => boolean) {
    this.#options = options;
    this.#isCurrent = isCurrent;
  }

  /** How many wait. */
  get count(): number {
    return this.#waiting().length;
  }

  /** Counts a run, and takes the container that waits for it; the caller's from here on. */
  take(spec: ContainerSpec, nowMs: number): Container | undefined {
    for (const demand of this.#demands.values()) demand.score *= FADING;
    const demand = this.demandFor(spec, nowMs);
    if (demand === undefined) return undefined;
    demand.score += 1;
    demand.quietRuns += 1;
    const container = demand.waiting;
    demand.waiting = undefined;
    if (container === undefined) return undefined;
    if (container.isWaiting() && this.#isCurrent(spec, container)) return container;
    container[Symbol.dispose]();
    return undefined;
  }

  /** Says that a program made a socket in a container of this shape. */
  noteSocket(shape: ContainerShape): void {
    const key = shapeKey(shape);
    const demand = key === undefined ? undefined : this.#demands.get(key);
    if (demand !== undefined) demand.quietRuns = 0;
  }

  /**
   * Has a shape prepared: that of an announced spec, else the one most in demand of those that nothing waits for, if it
   * is in enough demand.
   * @param prepare undefined is a failure: until it has been wanted again, that shape is left alone
   * @returns whether there is another one
   */
  refill(
    prepare: (expected: Expected) => Container | undefined,
    announced: Demand<Container> | undefined,
  ): "more" | "enough" {
    const demand = announced ?? this.#next();
    if (demand === undefined || demand.waiting !== undefined) return "enough";
    this.#makeRoom();
    const { shape, limits, quietRuns } = demand;
    demand.waiting = prepare({ shape, limits, network: quietRuns < QUIET_RUNS ? "own" : "common" });
    if (demand.waiting === undefined) demand.score = 0;
    return this.#next() === undefined ? "enough" : "more";
  }

  /** The demand for the shape of a spec; undefined where containers of this shape never wait. */
  demandFor(spec: ContainerSpec, nowMs: number): Demand<Container> | undefined {
    const key = this.#options.containersMax === 0 ? undefined : shapeKey(spec);
    if (key === undefined) return undefined;
    const { layers, rootfs, user, limits } = spec;
    const shape = { layers, rootfs, user, limits: { diskBytes: limits.diskBytes } };
    const demand = this.#demands.get(key) ?? {
      shape,
      limits,
      score: 0,
      lastMs: nowMs,
      quietRuns: Infinity,
      waiting: undefined,
    };
    demand.lastMs = nowMs;
    demand.limits = limits;
    this.#demands.set(key, demand);
    return demand;
  }

  /** Lets go of those that nobody has wanted for long, and of those that are not what would be made now. */
  tidy(nowMs: number): void {
    for (const demand of this.#waiting()) {
      const { lastMs, waiting, shape } = demand;
      const isIdle = nowMs - lastMs > this.#options.idleMs;
      if (waiting !== undefined && (isIdle || !waiting.isWaiting() || !this.#isCurrent(shape, waiting))) drop(demand);
      if (isIdle) demand.score = 0;
    }
    for (const [key, { score, waiting }] of this.#demands) {
      if (score < DEMAND_NONE && waiting === undefined) this.#demands.delete(key);
    }
  }

  /** Lets go of all. */
  clear(): void {
    for (const demand of this.#waiting()) drop(demand);
    this.#demands.clear();
  }

  /** The shape most in demand that nothing waits for, unless those for which something does are in greater demand. */
  #next(): Demand<Container> | undefined {
    const first = this.#ranked().find(({ score, waiting }) => waiting === undefined && score >= DEMAND_MIN);
    const waiting = this.#waiting();
    if (first === undefined || waiting.length < this.#options.containersMax) return first;
    const least = Math.min(...waiting.map(({ score }) => score));
    return first.score > least * DISPLACEMENT ? first : undefined;
  }

  #makeRoom(): void {
    const waiting = this.#waiting();
    const least = waiting.at(-1);
    if (least !== undefined && waiting.length >= this.#options.containersMax) drop(least);
  }

  /** Those for which something waits, most in demand first. */
  #waiting(): Demand<Container>[] {
    return this.#ranked().filter(({ waiting }) => waiting !== undefined);
  }

  #ranked(): Demand<Container>[] {
    return [...this.#demands.values()].toSorted((one, other) => other.score - one.score);
  }
}

function drop<Container extends Waiting>(demand: Demand<Container>): void {
  demand.waiting?.[Symbol.dispose]();
  demand.waiting = undefined;
}
