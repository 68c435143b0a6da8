/** The first half of a job of kind `shard`: from what was asked for to its parts. */
import type { SharedLayer, ShardPlan } from "../../../shared/shard-part.ts";
import type { ShardRequest } from "../../../shared/shard-request.ts";
import type { ShardResult } from "../../../shared/shard-result.ts";
import type { AttemptFacts, ContainerRunner, JobContext, JobOutcome } from "../context.ts";
import { prepareContainers } from "./containers.ts";
import { discover } from "./discover.ts";
import { noCounts, planParts } from "./parts.ts";
import { setUp } from "./setup.ts";

type Divided = { readonly kind: "planned"; readonly plan: ShardPlan } | JobOutcome;

/** Sets up, finds the items and splits them. @returns the result of the job, where there is nothing to be run */
export async function divide(
  request: ShardRequest,
  { queuedMs }: AttemptFacts,
  slot: ContainerRunner,
  context: JobContext,
  signal: AbortSignal,
): Promise<Divided> {
  await using leases = new AsyncDisposableStack();
  const containers = await prepareContainers(request, context, leases, signal);
  if (containers.kind !== "ready") return containers;
  const { image, pullMs } = containers;
  const clock = new Stopwatch();

  const unsharded = (part: Partial<ShardResult> & Pick<ShardResult, "outcome" | "message">): JobOutcome => ({
    kind: "merged",
    outputs: [],
    result: {
      ...emptyResult(request, context),
      image: image.digest,
      timings: { queuedMs, pullMs, setupMs: 0, discoverMs: 0, shardsMs: 0, mergeMs: 0, ...clock.laps },
      ...part,
    },
  });

  let { spec } = containers;
  let setup: ShardPlan["setup"] = null;
  let setupLayer: SharedLayer | null = null;
  if (request.setup !== undefined) {
    const done = await setUp({ ...request, setup: request.setup }, containers, slot, context, leases, signal);
    clock.lap("setupMs");
    if (done.kind === "not set up") {
      return unsharded({ outcome: "setup_failed", message: done.message, setup: done.result });
    }
    if (done.kind !== "set up") return done;
    setup = done.result;
    setupLayer = done.layer;
    spec = { ...spec, layers: [...spec.layers, { kind: "directory", path: done.path }] };
  }

  let { items } = request;
  let discovery: ShardPlan["discovery"] = null;
  if (request.discover !== undefined) {
    const found = await discover(request.discover, spec, containers, slot, context, signal);
    clock.lap("discoverMs");
    if (found.kind === "not discovered") {
      const { message } = found;
      return unsharded({ outcome: "discovery_failed", message, setup, discovery: found.discovery });
    }
    if (found.kind !== "discovered") return found;
    items = [...found.items];
    discovery = found.discovery;
  }
  if (items?.length === 0) {
    const message = request.discover === undefined ? "there are no items" : "no items were discovered";
    return unsharded({ outcome: "no_items", message, setup, discovery });
  }

  const durations = await context.shards.durations(request, items ?? []);
  const timings = { queuedMs, pullMs, setupMs: 0, discoverMs: 0, ...clock.laps };
  const plan = { ...planParts(request, items, durations), image: image.digest, setup, setupLayer, discovery, timings };
  return { kind: "planned", plan };
}

/** A result of which no shard knows. */
function emptyResult(
  { strategy }: ShardRequest,
  { worker }: JobContext,
): Omit<ShardResult, "outcome" | "message" | "image" | "timings"> {
  return {
    counts: noCounts,
    failures: [],
    flaky: [],
    lost: [],
    slowest: [],
    shards: [],
    evenness: null,
    strategy,
    setup: null,
    discovery: null,
    report: null,
    worker,
  };
}

/** Times what comes one after the other, in milliseconds. */
class Stopwatch {
  readonly laps: { setupMs?: number; discoverMs?: number } = {};
  #beganMs = performance.now();

  lap(name: "setupMs" | "discoverMs"): void {
    const nowMs = performance.now();
    this.laps[name] = Math.round((nowMs - this.#beganMs) * 1e3) / 1e3;
    this.#beganMs = nowMs;
  }
}
