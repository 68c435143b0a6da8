/** The first half of a job of kind `shard`: from what was asked for to its parts. */
import type { SharedLayer, ShardPlan } from "../../../shared/shard-part.ts";
import type { ShardRequest } from "../../../shared/shard-request.ts";
import type { ShardResult } from "../../../shared/shard-result.ts";
import type { AttemptFacts, ContainerRunner, JobContext, JobOutcome } from "../context.ts";
import type { UnfinishedOutcome } from "../container.ts";
import { inSlot } from "../slot.ts";
import { prepareContainers, type ShardContainers } from "./containers.ts";
import { discover } from "./discover.ts";
import { noCounts, planParts } from "./parts.ts";
import { Phases } from "./phases.ts";
import { setUp } from "./setup.ts";

type Divided = { readonly kind: "planned"; readonly plan: ShardPlan } | JobOutcome;

/**
 * Sets up, finds the items and splits them. Image and layers are fetched before it has a slot, which it takes for its own
 * containers only.
 * @returns the result of the job, where there is nothing to be run
 */
export async function divide(
  request: ShardRequest,
  { queuedMs, progress, onPullBegin }: AttemptFacts,
  context: JobContext,
  signal: AbortSignal,
): Promise<Divided> {
  await using leases = new AsyncDisposableStack();
  const containers = await prepareContainers(request, { ...context, onPullBegin }, leases, signal);
  if (containers.kind !== "ready") return containers;
  const { image, pullMs } = containers;
  const phases = new Phases(context.worker, progress);
  const needsSlot = request.setup !== undefined || request.discover !== undefined;
  const found = needsSlot
    ? await inSlot(context, signal, (slot) => findItems(request, containers, phases, slot, context, leases, signal))
    : { kind: "found" as const, ...nothingFound, items: request.items };
  const timings = { queuedMs, pullMs, setupMs: 0, discoverMs: 0, ...phases.laps };
  const unsharded = (part: Partial<ShardResult> & Pick<ShardResult, "outcome" | "message">): JobOutcome => ({
    kind: "merged",
    outputs: [],
    result: {
      ...emptyResult(request, context),
      image: image.digest,
      timings: { ...timings, shardsMs: 0, mergeMs: 0 },
      ...part,
    },
  });
  switch (found.kind) {
    case "found":
      break;
    case "not found": {
      const { kind: _, ...part } = found;
      return unsharded(part);
    }
    default:
      return found;
  }
  const { items, setup, setupLayer, discovery } = found;
  if (items?.length === 0) {
    const message = describeNothing(discovery);
    return unsharded({ outcome: "no_items", message, setup, discovery });
  }
  const times = await context.shards.times(request, items ?? []);
  const plan = { ...planParts(request, items, times), image: image.digest, setup, setupLayer, discovery, timings };
  return { kind: "planned", plan };
}

type Found =
  | ({
      readonly kind: "found";
      /** Undefined where the command splits by itself. */
      readonly items: readonly string[] | undefined;
      readonly setupLayer: SharedLayer | null;
    } & Pick<ShardPlan, "setup" | "discovery">)
  | ({ readonly kind: "not found" } & Pick<ShardResult, "outcome" | "message" | "setup" | "discovery">)
  | UnfinishedOutcome;

const nothingFound = { setup: null, setupLayer: null, discovery: null } as const;

/** Runs what is to be run before the shards. @param leases get the layer of the set-up */
async function findItems(
  request: ShardRequest,
  containers: ShardContainers,
  phases: Phases,
  slot: ContainerRunner,
  context: JobContext,
  leases: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<Found> {
  let { spec } = containers;
  let setup: ShardPlan["setup"] = null;
  let setupLayer: SharedLayer | null = null;
  const command = request.setup;
  if (command !== undefined) {
    const done = await phases.run("setup", (output) =>
      setUp({ ...request, setup: command }, containers, slot, context, leases, signal, output),
    );
    if (done.kind === "not set up") {
      const { message, result } = done;
      return { kind: "not found", outcome: "setup_failed", message, setup: result, discovery: null };
    }
    if (done.kind !== "set up") return done;
    setup = done.result;
    setupLayer = done.layer;
    spec = { ...spec, layers: [...spec.layers, { kind: "directory", path: done.path }] };
  }
  const words = request.discover;
  if (words === undefined) return { kind: "found", items: request.items, setup, setupLayer, discovery: null };
  const found = await phases.run("discover", (output) =>
    discover(words, spec, containers, slot, context, signal, output),
  );
  if (found.kind === "not discovered") {
    const { message, discovery } = found;
    return { kind: "not found", outcome: "discovery_failed", message, setup, discovery };
  }
  if (found.kind !== "discovered") return found;
  const { items, discovery } = found;
  return { kind: "found", items, setup, setupLayer, discovery };
}

function describeNothing(discovery: ShardPlan["discovery"]): string {
  if (discovery === null) return "there are no items";
  if (discovery.exitCode !== 0 || discovery.ignoredLines === 0) return "no items were discovered";
  return "no items were discovered: the list begins with an empty line, and what is behind one is taken for a summary";
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
