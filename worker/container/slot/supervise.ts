import type { Cgroup } from "../../cgroup/cgroup.ts";
import { type ChildProcess, PollSet } from "../../linux/process.ts";
import type { ContainerLimits } from "../spec.ts";
import { isAtOthersCost } from "./machine-memory.ts";
import type { OutputFeed } from "./output-feed.ts";
import type { RunRequest } from "./run-request.ts";
import type { SocketWatch } from "./socket-watch.ts";
import type { OutputCollector } from "./streams.ts";

/** Why the slot ended a container; undefined when it ended by itself. `no memory`: not by its own limit. */
export type EndedBy =
  "output_limit" | "wall_limit" | "cpu_limit" | "memory_limit" | "no memory" | "canceled" | undefined;

/** A container that runs. */
export interface Supervised {
  /** Killing it kills everything in the container. */
  readonly init: ChildProcess;
  readonly stdout: { readonly descriptor: number; readonly collector: OutputCollector };
  readonly stderr: { readonly descriptor: number; readonly collector: OutputCollector };
  readonly sockets: SocketWatch;
  readonly cgroup: Cgroup;
  readonly limits: ContainerLimits;
  /** What containers leave of the machine's memory. */
  readonly memoryReserveBytes: number;
  /** CPU time of the cgroup's that is not the program's, in milliseconds. */
  readonly preparationMs: () => number;
  readonly cancellation: RunRequest;
  readonly feed: OutputFeed;
  /** Called once, before the container is killed. */
  readonly beforeKill: () => void;
}

/** How often the cgroup is asked for out-of-memory kills, of which v1 cannot make one of the whole container. */
const LOOK_MS = 50;

/**
 * Waits until the container has ended, and ends it where a limit says so.
 *
 * One ppoll over init, the two streams, the program's wishes for sockets and the requests of the main thread, with the
 * next deadline as its timeout. CPU time has no event: the cgroup is asked again no sooner than the rest of the budget can
 * be used up with `cpus` cores.
 */
export function supervise(container: Supervised): EndedBy {
  const { limits, cgroup, cancellation, feed, sockets } = container;
  const poll = new PollSet(6);
  const init = poll.add(container.init.descriptor);
  const canceled = poll.add(cancellation.descriptor);
  const watched = poll.add(feed.descriptor);
  const asked = poll.add(-1);
  const streams = [container.stdout, container.stderr].map(({ descriptor, collector }) => ({
    index: poll.add(descriptor),
    collector,
  }));

  const began = performance.now();
  const deadline = began + limits.wallTimeMs;
  let nextLook = began + Math.min(LOOK_MS, limits.cpuTimeMs / limits.cpus);
  let nextPost = Infinity;
  let endedBy: EndedBy;
  const end = (reason: EndedBy): void => {
    if (endedBy !== undefined) return;
    endedBy = reason;
    container.beforeKill();
    container.init.kill();
  };

  if (cancellation.isRequested()) end("canceled");
  for (;;) {
    const now = performance.now();
    poll.replace(asked, sockets.descriptor(now));
    const nextAnswer = sockets.restsUntil > now ? sockets.restsUntil : Infinity;
    poll.wait(endedBy === undefined ? Math.min(deadline, nextLook, nextPost, nextAnswer) - now : Infinity);
    for (const { index, collector } of streams) {
      if (!poll.isReady(index)) continue;
      if (collector.take() === "end") poll.ignore(index);
      if (collector.truncated) end("output_limit");
    }
    const woken = performance.now();
    if (poll.hasInput(asked)) sockets.advance(woken);
    else if (poll.isReady(asked)) sockets.end();
    if (poll.isReady(watched) && feed.answerWakeUp()) poll.ignore(watched);
    nextPost = feed.advance(woken);
    if (poll.isReady(init)) break;
    if (poll.isReady(canceled) && cancellation.answerWakeUp()) {
      poll.ignore(canceled);
      end("canceled");
    }
    if (endedBy !== undefined) continue;

    if (woken >= deadline) end("wall_limit");
    else if (woken >= nextLook) {
      let left = limits.cpuTimeMs - cgroup.cpuTimeNs() / 1e6;
      // Looked for where it decides: it is a copy of the whole plan.
      if (left <= 0) left += container.preparationMs();
      if (cgroup.oomKills() > 0) end(cgroup.hasReachedMemoryLimit() ? "memory_limit" : "no memory");
      else if (left <= 0) end("cpu_limit");
      else if (isAtOthersCost(container.memoryReserveBytes, () => cgroup.usage().systemTimeNs / 1e6)) end("no memory");
      nextLook = performance.now() + Math.max(1, Math.min(LOOK_MS, left / limits.cpus));
    }
  }

  // Every writer is dead, so what the pipes still hold is all there will be.
  for (const { collector } of streams) collector.takeRest();
  feed.advance(Infinity);
  return endedBy;
}
