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
  | { readonly kind: "run"; readonly run: number; readonly spec: ContainerSpec }
  | { readonly kind: "release"; readonly name: string }
  | { readonly kind: "locate"; readonly name: string }
  | { readonly kind: "open network" };

/** What it answers: a container's result, the descriptor of a kept layer or a network, or what it has prepared. */
export type SlotAnswer = ContainerResult | number | Stock | undefined;

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

/** Executes one task. */
export default function perform(task: SlotTask): SlotAnswer {
  switch (task.kind) {
    case "tidy":
      context.tidy();
      return undefined;
    case "prepare":
      return context.prepareAhead(task.announced);
    case "drop":
      context.dropWaiting();
      return undefined;
    case "run":
      try {
        return runContainer(context, task.spec, {
          cancellation: new RunRequest(data.cancellation, task.run),
          feed: new OutputFeed(task.run, new RunRequest(data.watch, task.run), post),
        });
      } finally {
        closeGiven(task.spec);
      }
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

function post(message: OutputMessage, transferred: ArrayBuffer[]): void {
  parentPort?.postMessage(message, transferred);
}
