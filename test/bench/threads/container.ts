/** A slot's thread with a stopwatch: it measures where a worker's would only run. */
import { workerData } from "piscina";
import { openCgroups } from "../../../worker/cgroup/open.ts";
import type { SlotThreadData } from "../../../worker/container/slot.ts";
import { OutputFeed } from "../../../worker/container/slot/output-feed.ts";
import { RunRequest } from "../../../worker/container/slot/run-request.ts";
import { SlotContext } from "../../../worker/container/slot/context.ts";
import { runContainer } from "../../../worker/container/slot/run-container.ts";
import type { ContainerSpec, RunResult } from "../../../worker/container/spec.ts";
import { observeContainer, type Observation } from "../observation.ts";

/** What the thread does: it prepares a container, which is not measured; or it measures its time, or where that went. */
export interface ContainerTask {
  readonly kind: "prepare" | "time" | "observe";
  readonly run: number;
  readonly spec: ContainerSpec;
  /** Whether the container has been prepared. */
  readonly start: RunResult["start"];
}

/** Nanoseconds of one container. */
export interface ContainerTime {
  /** Until there is a result, which is what a job waits for. */
  readonly result: number;
  /** Until everything of the container is gone and the slot is ready for the next: until then it is occupied. */
  readonly whole: number;
}

const data = workerData as SlotThreadData;
const context = new SlotContext({
  index: data.index,
  idBase: data.idBase,
  dataDirectory: data.dataDirectory,
  host: data.host,
  cgroups: openCgroups(data.cgroups),
  warmth: data.warmth,
});
makeReady();

/** Runs one container. @throws {Error} when the program does not exit with 0, or the container started otherwise */
export default function perform(task: ContainerTask): ContainerTime | Observation | undefined {
  switch (task.kind) {
    case "prepare":
      context.prepareAhead(task.spec);
      return undefined;
    case "time":
      return time(task);
    case "observe":
      return observeContainer(() => run(task), makeReady);
    default:
      return task.kind satisfies never;
  }
}

/** As a slot does after a run. */
function makeReady(): void {
  context.tidy();
  context.makeReady();
}

function time(task: ContainerTask): ContainerTime {
  const began = process.hrtime.bigint();
  run(task);
  const answered = process.hrtime.bigint();
  makeReady();
  return { result: Number(answered - began), whole: Number(process.hrtime.bigint() - began) };
}

function run({ spec, run, start }: ContainerTask): void {
  const result = runContainer(context, spec, {
    cancellation: new RunRequest(data.cancellation, run),
    // Nobody asks for it.
    feed: new OutputFeed(run, new RunRequest(data.watch, run), () => undefined),
  });
  if (result.kind === "ended" && result.outcome === "exited" && result.exitCode === 0 && result.start === start) return;
  throw new Error(`the container did not do its work: ${JSON.stringify(result)}`);
}
