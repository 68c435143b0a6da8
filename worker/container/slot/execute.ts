import { closeSync } from "node:fs";
import { openSealedFile } from "../../linux/memory-file.ts";
import type { HostFacts } from "../plan/facts.ts";
import { joinPlans, type Plan, type Release } from "../plan/plan.ts";
import { ChildProcess } from "../../linux/process.ts";
import type { ContainerSpec, OutputStream } from "../spec.ts";
import type { Inspection } from "./launcher.ts";
import type { OutputFeed } from "./output-feed.ts";
import type { LaunchFailure, PreparedContainer } from "./prepared-container.ts";
import type { RunRequest } from "./run-request.ts";
import { OutputCollector } from "./streams.ts";
import { type EndedBy, supervise } from "./supervise.ts";
import { tracePhase } from "./trace.ts";
import { monotonicMs, peakRssOfPayload, preparationMs } from "./usage.ts";

/** What connects a run with the main thread while the slot's thread is busy with it. */
export interface MainThread {
  readonly cancellation: RunRequest;
  readonly feed: OutputFeed;
}

/** A container that is over. */
export interface Execution {
  readonly kind: "executed";
  readonly plan: Plan;
  readonly endedBy: EndedBy;
  readonly inspection: Inspection;
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly maxRssBytes: number;
  /** When the slot was about to kill it, on the clock of `monotonicMs`; undefined when it ended by itself. */
  readonly killedAtMs: number | undefined;
}

/** Releases a container whose slot steps are done, and stays with it until every process of it is dead. */
export function execute(
  spec: ContainerSpec,
  prepared: PreparedContainer,
  release: Release,
  { cancellation, feed }: MainThread,
  { memoryReserveBytes }: Pick<HostFacts, "memoryReserveBytes">,
): Execution | LaunchFailure {
  using resources = new DisposableStack();
  const { streams: given = {}, limits } = spec;
  let { stdin } = given;
  if (stdin === undefined && spec.stdin.byteLength > 0) {
    stdin = resources.adopt(openSealedFile("stdin", spec.stdin), closeSync);
  }
  prepared.release(release.command.steps, stdin, given.stdout);
  tracePhase("release");
  const init = prepared.awaitInit();
  if (!(init instanceof ChildProcess)) return init;
  tracePhase("launcher");

  const plan = joinPlans(prepared.preparation, release);
  const { stdout, stderr } = prepared;
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
    sockets: prepared.socketWatch,
    cgroup: prepared.cgroup,
    limits,
    memoryReserveBytes,
    preparationMs: () => preparationMs(plan.rooms, prepared.inspect()),
    cancellation,
    feed,
    beforeKill: () => {
      killedAtMs = monotonicMs();
      // A process killed together with init is never waited for, so nothing else tells how large it was.
      peakRssBytes = peakRssOfPayload(init.pid);
    },
  });
  tracePhase("supervise");
  const maxRssBytes = Math.max(init.awaitEnd().maxRssBytes, peakRssBytes);
  return {
    kind: "executed",
    plan,
    endedBy,
    inspection: prepared.inspect(),
    stdout: collectors.stdout.result(),
    stderr: collectors.stderr.result(),
    maxRssBytes,
    killedAtMs,
  };
}
