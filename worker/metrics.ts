/** The worker's metrics. No label takes a value that a client can invent: presets, stored images, outcomes. */
import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import { createRegistry, DURATION_BUCKETS, METRIC_PREFIX } from "../shared/metrics.ts";
import type { ImageStore } from "./images/store.ts";
import type { ContainerReport } from "./jobs/context.ts";
import type { SlotPool } from "./slots.ts";

/** Bytes, from the smallest program to the largest limit: 1 MiB to 4 GiB. */
const MEMORY_BUCKETS = Array.from({ length: 13 }, (_, power) => 2 ** (20 + power));

/** Stands for no language: a request that named an image and a command. */
const NO_LANGUAGE = "none";

const NAMED = (name: string, help: string) => ({ name: `${METRIC_PREFIX}${name}`, help });

export class WorkerMetrics {
  readonly registry: Registry;
  readonly #runs: Counter<"stage" | "outcome" | "language" | "image">;
  readonly #starts: Counter<"start">;
  readonly #queueWait: Histogram;
  readonly #pull: Histogram;
  readonly #prepare: Histogram<"stage">;
  readonly #run: Histogram<"stage">;
  readonly #collect: Histogram<"stage">;
  readonly #cpuSeconds: Counter<"stage" | "mode">;
  readonly #memoryPeak: Histogram<"stage">;
  readonly #containers: Gauge;
  readonly #oomKills: Counter;
  readonly #imageLookups: Readonly<Record<"hit" | "miss", Counter>>;
  readonly #retries: Counter;
  readonly #lostLocks: Counter;
  readonly #handOvers: Counter;
  #refresh: () => Promise<void> = async () => undefined;

  constructor() {
    this.registry = createRegistry("worker");
    const registers = [this.registry];
    const counter = (name: string, help: string) => new Counter({ ...NAMED(name, help), registers });
    const duration = (name: string, help: string) =>
      new Histogram({
        ...NAMED(name, help),
        labelNames: ["stage"] as const,
        buckets: [...DURATION_BUCKETS],
        registers,
      });

    this.#runs = new Counter({
      ...NAMED("runs_total", "containers that ended, by stage of their job, outcome, language and image"),
      labelNames: ["stage", "outcome", "language", "image"],
      registers,
    });
    this.#starts = new Counter({
      ...NAMED(
        "container_starts_total",
        "containers that ended, by whether they had been prepared for a job (warm) or not (cold)",
      ),
      labelNames: ["start"],
      registers,
    });
    this.#queueWait = new Histogram({
      ...NAMED("queue_wait_seconds", "from the acceptance of a job to the start of an attempt at it"),
      buckets: [...DURATION_BUCKETS],
      registers,
    });
    this.#pull = new Histogram({
      ...NAMED("pull_seconds", "time that jobs waited for their image to be pulled, where they did"),
      buckets: [...DURATION_BUCKETS],
      registers,
    });
    this.#prepare = duration("prepare_seconds", "from the job's arrival in its slot to the start of the program");
    this.#run = duration("run_seconds", "from the start of the program to its end");
    this.#collect = duration("collect_seconds", "from the end of the program to its result");
    this.#cpuSeconds = new Counter({
      ...NAMED("cpu_seconds_total", "CPU time that containers used"),
      labelNames: ["stage", "mode"],
      registers,
    });
    this.#memoryPeak = new Histogram({
      ...NAMED("memory_peak_bytes", "most memory that a container used at once"),
      labelNames: ["stage"],
      buckets: MEMORY_BUCKETS,
      registers,
    });
    this.#containers = new Gauge({
      ...NAMED(
        "containers_running",
        "containers between the beginning of their preparation and the end of their clean-up",
      ),
      registers,
    });
    this.#oomKills = counter("oom_kills_total", "containers that were ended because they ran out of memory");
    this.#imageLookups = {
      hit: counter("image_hits_total", "jobs whose image was on this worker"),
      miss: counter("image_misses_total", "jobs whose image was not on this worker"),
    };
    this.#retries = counter("job_retries_total", "attempts at jobs that had been attempted before");
    this.#lostLocks = counter(
      "lost_locks_total",
      "locks of jobs that ended before they were renewed: others may have taken these jobs up",
    );
    this.#handOvers = counter(
      "jobs_handed_over_total",
      "times that a job was left to other workers, which have its image; the same job may be left several times",
    );
  }

  /** Has slots and images looked at whenever the metrics are read. */
  observe(slots: SlotPool, images: ImageStore): void {
    const registers = [this.registry];
    new Gauge({
      ...NAMED("slots", "slots by state"),
      labelNames: ["state"],
      registers,
      collect() {
        this.set({ state: "free" }, slots.total - slots.busy);
        this.set({ state: "busy" }, slots.busy);
      },
    });
    new Gauge({
      ...NAMED("containers_waiting", "containers that are prepared for jobs to come"),
      registers,
      collect() {
        this.set(slots.waiting);
      },
    });
    const sizes = {
      images: new Gauge({ ...NAMED("images_cached", "images on this worker"), registers }),
      layers: new Gauge({ ...NAMED("layers_cached", "layers on this worker"), registers }),
      bytes: new Gauge({ ...NAMED("layers_cached_bytes", "size of these layers' uncompressed archives"), registers }),
    };
    this.#refresh = async () => {
      const size = await images.size();
      sizes.images.set(size.images);
      sizes.layers.set(size.layers);
      sizes.bytes.set(size.bytes);
    };
  }

  /** The metrics in Prometheus' text format. */
  async render(): Promise<string> {
    await this.#refresh();
    return await this.registry.metrics();
  }

  containerStarted(): Disposable {
    this.#containers.inc();
    return { [Symbol.dispose]: () => this.#containers.dec() };
  }

  containerEnded({ stage, language = NO_LANGUAGE, image, result }: ContainerReport): void {
    const { outcome, start, timings, usage } = result;
    this.#starts.inc({ start });
    this.#runs.inc({ stage, outcome, language, image });
    this.#prepare.observe({ stage }, timings.prepareMs / 1000);
    this.#run.observe({ stage }, timings.runMs / 1000);
    this.#collect.observe({ stage }, timings.collectMs / 1000);
    this.#cpuSeconds.inc({ stage, mode: "user" }, usage.userTimeMs / 1000);
    this.#cpuSeconds.inc({ stage, mode: "system" }, usage.systemTimeMs / 1000);
    this.#memoryPeak.observe({ stage }, usage.memoryPeakBytes);
    if (outcome === "memory_limit") this.#oomKills.inc();
  }

  imageLookedUp(answer: "hit" | "miss"): void {
    this.#imageLookups[answer].inc();
  }

  imagePulled(milliseconds: number): void {
    this.#pull.observe(milliseconds / 1000);
  }

  attemptStarted(attempt: number, queuedMs: number): void {
    this.#queueWait.observe(queuedMs / 1000);
    if (attempt > 1) this.#retries.inc();
  }

  jobHandedOver(): void {
    this.#handOvers.inc();
  }

  lockLost(): void {
    this.#lostLocks.inc();
  }
}
