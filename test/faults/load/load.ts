/** A steady load: jobs come as they do from strangers, each with somebody who waits for it. */
import { setTimeout as delay } from "node:timers/promises";
import type { Job } from "../../../shared/job.ts";
import type { Random } from "../random.ts";
import { FaultClient } from "./client.ts";
import { type KnownJob, makeKnownJob } from "./known-jobs.ts";

/** Mean pause between two jobs: less than half of what two workers can do. */
const PAUSE_MS = 200;

/** As many that are not finished may there be: what waits after an outage is done before long. */
const UNFINISHED_MAX = 150;

/** How often somebody else waits for a job, too. */
const SECOND_WAITER = 0.3;

/** A job, from its client's point of view. */
export interface Observation {
  readonly known: KnownJob;
  /** Undefined: nobody accepted it before the end. */
  id: string | undefined;
  /** What its waiters were told at the end; undefined for one who was told nothing. */
  readonly seen: (Job | undefined)[];
}

export class Load {
  readonly client: FaultClient;
  readonly observations: Observation[] = [];
  readonly #random: Random;
  readonly #unfinished = new Set<Promise<void>>();

  constructor(url: string, random: Random) {
    this.client = new FaultClient(url);
    this.#random = random;
  }

  /** Jobs that are on their way. */
  get unfinished(): number {
    return this.#unfinished.size;
  }

  /** Posts jobs until it is told to stop. */
  async produce(stop: AbortSignal, giveUp: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      if (this.#unfinished.size < UNFINISHED_MAX) this.#begin(giveUp);
      await delay(this.#random.between(0, 2 * PAUSE_MS));
    }
  }

  /** Resolves when all jobs are finished, or given up. */
  async settle(): Promise<void> {
    while (this.#unfinished.size > 0) await Promise.all(this.#unfinished);
  }

  #begin(giveUp: AbortSignal): void {
    const known = makeKnownJob(this.#random);
    const waitSeconds = this.#random.pick([0, 1, 10, 60]);
    const waiters = this.#random.between(0, 1) < SECOND_WAITER ? 2 : 1;
    const observation: Observation = { known, id: undefined, seen: [] };
    this.observations.push(observation);
    const done = this.#follow(observation, waitSeconds, waiters, giveUp).finally(() => this.#unfinished.delete(done));
    this.#unfinished.add(done);
  }

  async #follow(observation: Observation, waitSeconds: number, waiters: number, giveUp: AbortSignal): Promise<void> {
    const job = await this.client.post(observation.known, waitSeconds, giveUp);
    if (job === undefined) return;
    observation.id = job.id;
    const waits = Array.from({ length: waiters }, (_, n) => this.client.finished(job.id, n === 0 ? 30 : 5, giveUp));
    observation.seen.push(...(await Promise.all(waits)));
  }
}
