/** What runs in a slot's thread: one container at a time, to its end, without an event loop turn in between. */
import { parentPort } from "node:worker_threads";
import { workerData } from "piscina";
import type { ContainerResult, ContainerSpec } from "../spec.ts";
import { openCgroups } from "../../cgroup/open.ts";
import { returnFreeMemory } from "../../linux/heap.ts";
import { containerPrefix, SlotContext, type Stock } from "./context.ts";
import type { SlotThreadData } from "../slot.ts";
import { OutputFeed, type OutputMessage } from "./output-feed.ts";
import { RunRequest } from "./run-request.ts";
import { closeGiven } from "../streams.ts";
import { runContainer } from "./run-container.ts";

/** What the main thread asks of the slot's. */
export type SlotTask =
  /** Take away what the last container left, prepare for the next. */
  | { readonly kind: "tidy" }
  /** Prepare a container for a run that is likely to come, or that is announced. */
  | { readonly kind: "prepare"; readonly announced?: ContainerSpec }
  /** Let go of all that are prepared. */
  | { readonly kind: "drop" }
  /** Run a container and post its result; then tidy up, and prepare a container unless another run has come meanwhile. */
  | { readonly kind: "run"; readonly run: number; readonly spec: ContainerSpec }
  | { readonly kind: "release"; readonly name: string }
  | { readonly kind: "locate"; readonly name: string }
  | { readonly kind: "open network" };

/** What it answers: the descriptor of a kept layer or a network, what it has prepared, or what was left of a run. */
export type SlotAnswer = number | Stock | LeftOver | undefined;

/** What a run left could not be taken away. */
export interface LeftOver {
  readonly leftOver: unknown;
}

/** What it posts in the middle of a run. */
export type SlotMessage =
  | OutputMessage
  /** The run's result, which waits neither for its container to be taken away nor for another to be prepared. */
  | { readonly kind: "result"; readonly run: number; readonly result: ContainerResult };

const data = workerData as SlotThreadData;
const cgroups = openCgroups(data.cgroups);
// A thread before this one may have crashed in the middle of a container, whose init has died with it.
cgroups.sweep(containerPrefix(data.index));
cgroups.occupy();
const context = new SlotContext({
  index: data.index,
  idBase: data.idBase,
  dataDirectory: data.dataDirectory,
  host: data.host,
  cgroups,
  warmth: data.warmth,
});
returnFreeMemory();

const latestRun = new Int32Array(data.latestRun);

/** Executes one task. */
export default function perform(task: SlotTask): SlotAnswer {
  switch (task.kind) {
    case "tidy":
      context.tidy();
      context.makeReady();
      return undefined;
    case "prepare":
      return context.prepareAhead(task.announced);
    case "drop":
      context.dropWaiting();
      return undefined;
    case "run":
      post({ kind: "result", run: task.run, result: run(task) });
      return makeReady(task.run);
    case "release":
      context.release(task.name);
      return undefined;
    case "locate":
      return context.locate(task.name);
    case "open network":
      return context.openNetwork();
    default:
      return task satisfies never;
  }
}

function run({ run, spec }: Extract<SlotTask, { kind: "run" }>): ContainerResult {
  try {
    return runContainer(context, spec, {
      cancellation: new RunRequest(data.cancellation, run),
      feed: new OutputFeed(run, new RunRequest(data.watch, run), post),
    });
  } finally {
    closeGiven(spec);
  }
}

/**
 * Makes the slot ready for the run after this one, as far as there is time until it comes: first what is worth most to it.
 * Where that fails it is said, not thrown: the run has its result.
 */
function makeReady(run: number): Stock | LeftOver | undefined {
  const hasTime = (): boolean => Atomics.load(latestRun, 0) === run;
  try {
    context.tidy();
    const stock = hasTime() ? context.prepareAhead() : undefined;
    if (hasTime()) context.makeReady();
    return stock;
  } catch (error) {
    return { leftOver: error };
  }
}

function post(message: SlotMessage, transferred: ArrayBuffer[] = []): void {
  parentPort?.postMessage(message, transferred);
}
