import { closeSync, fchownSync, openSync } from "node:fs";
import type { Cgroup } from "../../cgroup/cgroup.ts";
import { openSealedFile } from "../../linux/memory-file.ts";
import { Pipe } from "../../linux/pipe.ts";
import { ChildProcess, reap } from "../../linux/process.ts";
import type { SlotSteps, StepFailure } from "../interpret.ts";
import type { Plan } from "../plan/plan.ts";
import type { ContainerSpec, OutputStream } from "../spec.ts";
import type { SlotContext } from "./context.ts";
import { type Inspection, Launch } from "./launcher.ts";
import type { OutputFeed } from "./output-feed.ts";
import type { RunRequest } from "./run-request.ts";
import { OutputCollector } from "./streams.ts";
import { type EndedBy, supervise } from "./supervise.ts";
import { tracePhase } from "./trace.ts";
import { monotonicMs, peakRssOfPayload } from "./usage.ts";

/** What connects a run with the main thread while the slot's thread is busy with it. */
export interface MainThread {
  readonly cancellation: RunRequest;
  readonly feed: OutputFeed;
}

/** A container that is over. */
export interface Execution {
  readonly kind: "executed";
  readonly endedBy: EndedBy;
  readonly inspection: Inspection;
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly maxRssBytes: number;
  /** When the slot was about to kill it, on the clock of `monotonicMs`; undefined when it ended by itself. */
  readonly killedAtMs: number | undefined;
}

/** A plan that failed before there was a container. */
export type LaunchFailure = { readonly kind: "not launched" } & StepFailure;

/** Launches a plan whose slot steps are done, and stays with the container until every process of it is dead. */
export function execute(
  context: SlotContext,
  spec: ContainerSpec,
  plan: Plan,
  slotSteps: SlotSteps,
  cgroup: Cgroup,
  { cancellation, feed }: MainThread,
): Execution | LaunchFailure {
  using resources = new DisposableStack();
  const stdout = resources.use(Pipe.open());
  const stderr = resources.use(Pipe.open());
  // The program may open /dev/stdout anew, which is checked against the pipe's owner.
  for (const pipe of [stdout, stderr]) {
    fchownSync(pipe.writeEnd, context.idBase + spec.user.uid, context.idBase + spec.user.gid);
  }
  // Opened anew for each container: flags and locks belong to an open file, and would be found by the next.
  const { streams: given = {}, limits } = spec;
  const stdin = given.stdin ?? openStdin(spec.stdin);
  if (given.stdin === undefined) resources.adopt(stdin, closeSync);

  const streams = { stdin, stdout: given.stdout ?? stdout.writeEnd, stderr: stderr.writeEnd };
  const launch = resources.use(new Launch(plan.steps, streams, slotSteps));
  tracePhase("spawn");
  stdout.closeWriteEnd();
  stderr.closeWriteEnd();
  reap(launch.pid);
  tracePhase("launcher");

  const launched = launch.inspect();
  const initPid = launched.result(plan.init);
  if (initPid === 0) {
    return { kind: "not launched", step: launched.failure?.step ?? plan.init, errno: launched.failure?.errno ?? 0 };
  }
  const init = resources.use(new ChildProcess(initPid));

  const collectors = {
    stdout: new OutputCollector(stdout.readEnd, {
      limitBytes: limits.outputBytes,
      keptBytes: given.keptBytes,
      copyTo: given.stdoutCopy ?? spec.build?.outputDescriptor,
    }),
    stderr: new OutputCollector(stderr.readEnd, {
      limitBytes: limits.outputBytes,
      keptBytes: given.keptBytes,
      copyTo: spec.build?.outputDescriptor,
    }),
  };
  let killedAtMs: number | undefined;
  feed.add("stdout", collectors.stdout);
  feed.add("stderr", collectors.stderr);
  let peakRssBytes = 0;
  const endedBy = supervise({
    init,
    stdout: { descriptor: stdout.readEnd, collector: collectors.stdout },
    stderr: { descriptor: stderr.readEnd, collector: collectors.stderr },
    cgroup,
    limits: spec.limits,
    cancellation,
    feed,
    beforeKill: () => {
      killedAtMs = monotonicMs();
      // A process killed together with init is never waited for, so nothing else tells how large it was.
      peakRssBytes = peakRssOfPayload(initPid);
    },
  });
  tracePhase("supervise");
  const maxRssBytes = Math.max(init.reap().maxRssBytes, peakRssBytes);
  return {
    kind: "executed",
    endedBy,
    inspection: launch.inspect(),
    stdout: collectors.stdout.result(),
    stderr: collectors.stderr.result(),
    maxRssBytes,
    killedAtMs,
  };
}

function openStdin(content: Uint8Array): number {
  return content.byteLength === 0 ? openSync("/dev/null", "r") : openSealedFile("stdin", content);
}
