/** Jobs as the tests post them, and a worker's part played by hand: claim and finish, without a container. */
import type { Redis } from "ioredis";
import { parseJobRequest, createJobRequestSchema, type JobRequest } from "../../shared/job-request.ts";
import type { JobResult } from "../../shared/job-result.ts";
import type { Ending, JobStore } from "../../shared/job-store.ts";
import { defaultMaxima } from "../../shared/limits.ts";
import { resolveRequest } from "../../shared/presets.ts";
import { connectRedis, type ConnectionRole } from "../../shared/redis.ts";

const schema = createJobRequestSchema(defaultMaxima);

/** A request as a worker is handed it. */
export function requestOf(fields: Record<string, unknown> = {}): JobRequest {
  const body = { image: "python", command: ["python3", "main.py"], ...fields };
  return resolveRequest(parseJobRequest(schema, body), new Map(), defaultMaxima);
}

/** The result of a program that printed something and exited with 0. */
export function resultOf(stdout: string, outputs: JobResult["outputs"] = []): JobResult {
  return {
    outcome: "exited",
    exitCode: 0,
    signal: null,
    stdout: { content: stdout, encoding: "utf8", bytes: Buffer.byteLength(stdout), truncated: false },
    stderr: { content: "", encoding: "utf8", bytes: 0, truncated: false },
    outputs,
    usage: {
      cpuTimeMs: 12,
      userTimeMs: 8,
      systemTimeMs: 4,
      wallTimeMs: 20,
      memoryPeakBytes: 1_000_000,
      maxRssBytes: 900_000,
      processesPeak: 1,
    },
    build: null,
    timings: { queuedMs: 0.5, pullMs: 0, prepareMs: 2, runMs: 20, collectMs: 1 },
    image: `sha256:${"0".repeat(64)}`,
    worker: "worker-by-hand",
  };
}

/** How a run ends that printed something. */
export function done(stdout: string): Extract<Ending, { state: "done" }> {
  return { state: "done", result: resultOf(stdout), outputs: [] };
}

/** A connection that is up. */
export async function connected(url: string, role: ConnectionRole): Promise<Redis> {
  const redis = connectRedis(url, role, () => undefined);
  await untilReady(redis);
  return redis;
}

/** Resolves when a connection is up; attempts that fail on the way are none of its business. */
export async function untilReady(redis: Redis): Promise<void> {
  if (redis.status === "ready") return;
  await new Promise<void>((resolve) => void redis.once("ready", () => resolve()));
}

/** Plays a worker that takes a job and ends it; throws when the job is not there to be taken. */
export async function runByHand(store: JobStore, id: string, ending: Ending): Promise<void> {
  const token = `by-hand:${id}`;
  const claim = await store.claim(id, { worker: "worker-by-hand", token });
  if (claim.status !== "claimed") throw new Error(`job ${id} is ${claim.status}`);
  const stored = await store.finish(id, token, ending);
  if (stored !== "stored") throw new Error(`the ending of job ${id} is ${stored}`);
}
