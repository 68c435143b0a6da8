/** What API and worker have in common about Prometheus. No label takes a value that a client can invent. */
import { collectDefaultMetrics, Gauge, Registry } from "prom-client";
import { version } from "./version.ts";

/** Before the name of every metric, also Node's own ones. */
export const METRIC_PREFIX = "longshore_";

/** Buckets of durations in seconds: from half a millisecond, a warm container, to a minute, the longest wait. */
export const DURATION_BUCKETS = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
] as const satisfies readonly number[];

/** How often the event loop's lag is looked at: each time wakes the process up. */
const LAG_SAMPLE_MS = 100;

/** A registry with the process's own metrics and `longshore_build_info`. */
export function createRegistry(service: "api" | "worker"): Registry {
  const registry = new Registry();
  registry.setDefaultLabels({ service });
  collectDefaultMetrics({ register: registry, prefix: METRIC_PREFIX, eventLoopMonitoringPrecision: LAG_SAMPLE_MS });
  const buildInfo = new Gauge({
    name: `${METRIC_PREFIX}build_info`,
    help: "always 1; the version of Longshore and Node in its labels",
    labelNames: ["version", "node"],
    registers: [registry],
  });
  buildInfo.set({ version, node: process.version }, 1);
  return registry;
}
