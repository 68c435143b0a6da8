/** A slot's thread with a stopwatch: it measures where a worker's would only run. */
import { workerData } from "piscina";
import { openCgroups } from "../../../worker/cgroup/open.ts";
import type { SlotThreadData } from "../../../worker/container/slot.ts";
import { OutputFeed } from "../../../worker/container/slot/output-feed.ts";
import { RunRequest } from "../../../worker/container/slot/run-request.ts";
import { SlotContext } from "../../../worker/container/slot/context.ts";
import { runContainer } from "../../../worker/container/slot/run-container.ts";
import type { ContainerSpec } from "../../../worker/container/spec.ts";
import { observeContainer, type Observation } from "../observation.ts";

/** What the thread measures: a container's time, or where it went. */
export type ContainerTask =
  | { readonly kind: "time"; readonly run: number; readonly spec: ContainerSpec }
  | { readonly kind: "observe"; readonly run: number; readonly spec: ContainerSpec };

/** Nanoseconds of one container. */
export interface ContainerTime {
  /** Until there is a result, which is what a job waits for. */
  readonly result: number;
  /** Until everything of the container is gone and the slot is ready for the next: until then it is occupied. */
  readonly whole: number;
}

const data = workerData as SlotThreadData;
const context = new SlotContext({
  idBase: data.idBase,
  dataDirectory: data.dataDirectory,
  host: data.host,
  cgroups: openCgroups(data.cgroups),
});
context.tidy();

/** Runs one container. @throws {Error} when the program does not exit with 0 */
export default function perform(task: ContainerTask): ContainerTime | Observation {
  switch (task.kind) {
    case "time":
      return time(task);
    case "observe":
      return observeContainer(
        () => run(task),
        () => context.tidy(),
      );
    default:
      return task satisfies never;
  }
}

function time(task: ContainerTask): ContainerTime {
  const began = process.hrtime.bigint();
  run(task);
  const answered = process.hrtime.bigint();
  context.tidy();
  return { result: Number(answered - began), whole: Number(process.hrtime.bigint() - began) };
}

function run({ spec, run }: ContainerTask): void {
  const result = runContainer(context, spec, `${data.index}-${run}`, {
    cancellation: new RunRequest(data.cancellation, run),
    // Nobody asks for it.
    feed: new OutputFeed(run, new RunRequest(data.watch, run), () => undefined),
  });
  if (result.kind === "ended" && result.outcome === "exited" && result.exitCode === 0) return;
  throw new Error(`the container did not do its work: ${JSON.stringify(result)}`);
}
