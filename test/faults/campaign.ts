/**
 * Everything breaks, again and again, under a steady load of jobs; then it is looked at what came of the jobs.
 *
 *   start ─▶ load ─────────────────────────────────────▶ load ends ─▶ jobs finish ─▶ audit ─▶ stop ─▶ leftovers
 *              └▶ fault … fault … fault … all are over ─┘
 */
import { setTimeout as delay } from "node:timers/promises";
import { audit, type Audit } from "./audit.ts";
import type { Target } from "./kinds/fault.ts";
import { faultKinds } from "./kinds/index.ts";
import { REDIS_JUMP_SECONDS } from "./kinds/resources.ts";
import { countActive, findLeftKeys, findLeftThings } from "./leftovers.ts";
import { Load } from "./load/load.ts";
import type { Waits } from "./load/client.ts";
import { ReportCounter } from "./load/reports.ts";
import { FaultyInstallation } from "./machine/installation.ts";
import { until } from "./machine/until.ts";
import { Random } from "./random.ts";
import { makeSchedule, type ScheduledFault } from "./schedule.ts";

/** Load without faults, before the first one and after the last. */
const CALM_MS = 3000;

/** In which all jobs that were posted are to be finished when nothing breaks any more. */
const SETTLE_MS = 180_000;

/** After which a job of which nobody has told BullMQ that it is over has been found: its lock, and two looks for such jobs. */
const ACTIVE_MS = 30_000 + REDIS_JUMP_SECONDS * 1000;

/** As configured by default. */
const ATTEMPTS = 3;

export interface CampaignOptions {
  readonly durationMs: number;
  readonly seed: number;
  /** Is told of each fault. */
  readonly say: (line: string) => void;
  /** Directory for what the programs print. */
  readonly logs?: string | undefined;
  /** Ends it early, without a report. */
  readonly signal?: AbortSignal;
}

/** How often a kind of fault was caused. */
export interface FaultCount {
  caused: number;
  /** There was nothing to hit. */
  missed: number;
}

export interface CampaignReport extends Audit {
  readonly seed: number;
  readonly seconds: number;
  readonly faults: Readonly<Record<string, FaultCount>>;
  readonly waits: Waits;
  /** Ends that programs came to by themselves, by program. */
  readonly ownEnds: Readonly<Record<string, readonly string[]>>;
  /** Those among them to which no fault has brought the program; there should be none. */
  readonly unexplainedEnds: readonly string[];
  /** What was left behind. */
  readonly leftovers: readonly string[];
}

/** Whether everything that was promised was kept. */
export function isKept({ violations, leftovers, unexplainedEnds }: CampaignReport): boolean {
  return leftovers.length + unexplainedEnds.length === 0 && Object.values(violations).every((count) => count === 0);
}

/** Runs a campaign to its end. */
export async function runCampaign({ durationMs, seed, say, logs, signal }: CampaignOptions): Promise<CampaignReport> {
  await using installation = await FaultyInstallation.start(logs);
  using reports = new ReportCounter(installation.redisUrl);
  const load = new Load(installation.url, new Random(seed + 1));
  const [stop, giveUp] = [new AbortController(), new AbortController()];
  signal?.addEventListener("abort", () => giveUp.abort(), { once: true });
  const producing = load.produce(stop.signal, giveUp.signal);
  const schedule = makeSchedule(faultKinds, seed, durationMs);
  const faults = await causeAll(installation, schedule, say, signal).finally(() => stop.abort());
  await producing;
  say(`no more faults, and ${load.unfinished} jobs are not finished`);
  const patience = setTimeout(() => giveUp.abort(), SETTLE_MS);
  await load.settle();
  clearTimeout(patience);
  // What a lost worker had is found by Redis' clock, which may have been ahead when it was locked.
  await until("no job is active", ACTIVE_MS, async () => (await countActive(installation.redisUrl)) === 0).catch(
    () => undefined,
  );
  const { url, ledger, redisUrl, redis, api, workers } = installation;
  const audited = await audit(load, reports, { url, ledger, attempts: ATTEMPTS });

  const ends = async (): Promise<string[]> => {
    const processes = [...workers.map(({ process }) => process), api, redis.process];
    const left: string[] = [];
    for (const process of processes) {
      if (process === redis.process) left.push(...(await findLeftKeys(redisUrl)));
      const end = await process.stop();
      if (end !== 0) left.push(`${process.name} ended with ${end}`);
    }
    // The kernel takes processes of a dead namespace down in its own time.
    await until("all is taken down", 5000, () => findLeftThings(installation).length === 0).catch(() => undefined);
    return [...left, ...findLeftThings(installation)];
  };
  const leftovers = await ends();
  const programs = [api, redis.process, ...workers.map(({ process }) => process)];
  return {
    ...audited,
    seed,
    seconds: Math.round(durationMs / 1000),
    faults,
    waits: load.client.waits,
    ownEnds: Object.fromEntries(programs.map(({ name, ownEnds }) => [name, ownEnds])),
    unexplainedEnds: programs.flatMap(({ name, unexplainedEnds }) => unexplainedEnds.map((end) => `${name}: ${end}`)),
    leftovers,
  };
}

async function causeAll(
  installation: FaultyInstallation,
  schedule: readonly ScheduledFault[],
  say: (line: string) => void,
  signal: AbortSignal | undefined,
): Promise<Record<string, FaultCount>> {
  const counts: Record<string, FaultCount> = {};
  const failed = new AbortController();
  const end = AbortSignal.any([failed.signal, ...(signal === undefined ? [] : [signal])]);
  // On a busy machine a fault may take longer than it should: the next one of its target waits for it.
  const last = new Map<Target, Promise<void>>();
  const beganMs = performance.now();
  const running = schedule.map(({ name, atMs, targets, detail, happen }) => {
    const before = targets.flatMap((target) => last.get(target) ?? []);
    const cause = async (): Promise<void> => {
      await delay(CALM_MS + atMs, undefined, { signal: end });
      await Promise.all(before);
      const seconds = ((performance.now() - beganMs) / 1000).toFixed(1).padStart(6);
      say(`${seconds} s  ${name} (${targets.join(", ")}): ${detail}`);
      const count = (counts[name] ??= { caused: 0, missed: 0 });
      count[(await happen(installation)) ? "caused" : "missed"] += 1;
    };
    const fault = cause();
    for (const target of targets) last.set(target, fault);
    return fault;
  });
  try {
    await Promise.all(running);
  } catch (error) {
    failed.abort();
    await Promise.allSettled(running);
    throw error;
  }
  await delay(CALM_MS);
  return counts;
}
