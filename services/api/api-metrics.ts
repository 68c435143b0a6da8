/** What the API tells Prometheus. */
import type { Redis } from "ioredis";
import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { ErrorCode } from "../../shared/errors.ts";
import { createRegistry, DURATION_BUCKETS, METRIC_PREFIX } from "../../shared/metrics.ts";
import { readQueueDepth } from "../../shared/queue-depth.ts";

export interface ApiMetrics {
  readonly registry: Registry;
  /** One answered request; `route` is a declared path, `status` an HTTP status. */
  observeRequest(
    request: { readonly method: string; readonly route: string; readonly status: number },
    seconds: number,
  ): void;
  /** One more who watches a job, until it is disposed of. */
  watching(): Disposable;
  countAccepted(): void;
  countRejected(reason: ErrorCode): void;
}

export interface ApiMetricsOptions {
  readonly redis: Redis;
  readonly queue: string;
  /** Jobs that requests of this process wait for. */
  readonly waiting: () => number;
}

/** Node knows more methods than anyone sends; what is not one of these shares a label. */
const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

export function createApiMetrics({ redis, queue, waiting }: ApiMetricsOptions): ApiMetrics {
  const registry = createRegistry("api");
  const registers = [registry];
  const duration = new Histogram({
    name: `${METRIC_PREFIX}http_request_duration_seconds`,
    help: "time from a request to its answer, the wait that the client asked for included",
    labelNames: ["method", "route", "status"],
    buckets: [...DURATION_BUCKETS],
    registers,
  });
  const accepted = new Counter({
    name: `${METRIC_PREFIX}jobs_accepted_total`,
    help: "jobs put into the queue",
    registers,
  });
  const rejected = new Counter({
    name: `${METRIC_PREFIX}jobs_rejected_total`,
    help: "jobs refused, by the code of the error",
    labelNames: ["reason"],
    registers,
  });
  new Gauge({
    name: `${METRIC_PREFIX}waiting_jobs`,
    help: "jobs that requests of this process wait for",
    registers,
    collect() {
      this.set(waiting());
    },
  });
  const watchers = new Gauge({
    name: `${METRIC_PREFIX}watchers`,
    help: "requests of this process that are sent the events of a job",
    registers,
  });
  registerQueueDepth(registry, redis, queue);
  return {
    registry,
    observeRequest({ method, route, status }, seconds) {
      duration.observe({ method: METHODS.has(method) ? method : "other", route, status }, seconds);
    },
    watching() {
      watchers.inc();
      return { [Symbol.dispose]: () => watchers.dec() };
    },
    countAccepted: () => accepted.inc(),
    countRejected: (reason) => rejected.inc({ reason }),
  };
}

/**
 * Read from Redis when Prometheus asks, once for all three. While Redis is away the numbers are absent: an old one
 * would be a lie.
 */
function registerQueueDepth(registry: Registry, redis: Redis, queue: string): void {
  const registers = [registry];
  let reading: Promise<void> | undefined;
  const collect = async (): Promise<void> => {
    // prom-client collects all metrics at the same time
    reading ??= read().finally(() => (reading = undefined));
    await reading;
  };
  const jobs = new Gauge({
    name: `${METRIC_PREFIX}queue_jobs`,
    help: "jobs by state, of all workers together",
    labelNames: ["state"],
    registers,
    collect,
  });
  const oldestAge = new Gauge({
    name: `${METRIC_PREFIX}queue_oldest_age_seconds`,
    help: "seconds since the oldest job of a state was created (queued) or started (running)",
    labelNames: ["state"],
    registers,
    collect,
  });
  const up = new Gauge({ name: `${METRIC_PREFIX}redis_up`, help: "1 when redis answers", registers, collect });

  async function read(): Promise<void> {
    const depths = await readQueueDepth(redis, queue).catch(() => undefined);
    jobs.reset();
    oldestAge.reset();
    up.set(depths === undefined ? 0 : 1);
    for (const { state, jobs: count, oldestAgeSeconds } of depths ?? []) {
      jobs.set({ state }, count);
      oldestAge.set({ state }, oldestAgeSeconds);
    }
  }
}
