/**
 * What a job of kind `shard` is divided into: parts, which any worker takes, and the plan by which they are put together
 * again. Nobody outside sees them; a part's id is its job's, a dot, and its number.
 */
import type { Digest } from "./digest.ts";
import type { JobError } from "./job.ts";
import type { BuildResult, OutputFileEntry } from "./job-result.ts";
import type { Priority } from "./request-fields.ts";
import type { ShardResult, ShardRun, ShardReport } from "./shard-result.ts";

/** A layer that a container of one worker wrote, where every other worker finds it. */
export interface SharedLayer {
  /** Digest of everything that it was made from: that itself may hold secrets, as values of the environment. */
  readonly key: Digest;
  readonly blob: Digest;
  /** Of its tar, uncompressed. */
  readonly bytes: number;
  /** What is known of how it was made. */
  readonly note: string;
}

/** What a part runs. */
export type ShardWork =
  | { readonly kind: "items"; readonly items: readonly string[] }
  /** What is next, until none is left. */
  | { readonly kind: "batches" }
  /** The command splits by itself. */
  | { readonly kind: "whole" };

/** What a worker is handed. All else is in the request of the job. */
export interface ShardPartRequest {
  readonly kind: "shard-part";
  /** Id of the job. */
  readonly job: string;
  /** From 1. */
  readonly shard: number;
  readonly shards: number;
  readonly work: ShardWork;
  readonly setup: SharedLayer | null;
  readonly priority: Priority;
}

/** What is to be known when the parts are over. */
export interface ShardPlan extends Pick<ShardResult, "setup" | "discovery" | "image"> {
  readonly timings: Pick<ShardResult["timings"], "queuedMs" | "pullMs" | "setupMs" | "discoverMs">;
  readonly setupLayer: SharedLayer | null;
  readonly parts: readonly PlannedPart[];
  /** Of the strategy `dynamic`. */
  readonly batches: readonly (readonly string[])[];
}

export interface PlannedPart {
  readonly work: ShardWork;
  /** From what is remembered; null where nothing is. */
  readonly expectedMs: number | null;
}

/** A file of a part: a blob, which the job holds. */
export type PartFile =
  | { readonly path: string; readonly blob: Digest; readonly bytes: number }
  | Extract<OutputFileEntry, { readonly error: string }>;

/** What came of a part. */
export interface ShardPartResult extends Pick<ShardReport, "stdout" | "stderr" | "items" | "wallTimeMs"> {
  readonly worker: string;
  readonly runs: readonly ShardRun[];
  /** What was wrong with commands although no test of theirs failed: how they ended, or what they reported. */
  readonly endings: readonly string[];
  /** Reports, as the worker's code has them, and what else it returns. */
  readonly files: readonly PartFile[];
}

/** How a part stands. */
export type PartStanding =
  | { readonly state: "missing" }
  | {
      readonly state: "queued" | "running" | "done" | "failed" | "canceled";
      readonly attempt: number;
      /** Milliseconds of Redis's clock. */
      readonly createdAt: number;
      readonly finishedAt: number | null;
      readonly worker: string | null;
      readonly result: ShardPartResult | null;
      readonly error: JobError | null;
    };

/** Id of a part. */
export function partId(job: string, shard: number): string {
  return `${job}.${shard}`;
}

/** Id of the job of a part; of a job, its own. */
export function jobOf(id: string): string {
  return id.split(".", 1)[0] ?? id;
}

/** Whether nothing will change about a part any more. */
export function isOver(part: PartStanding): boolean {
  return part.state === "done" || part.state === "failed" || part.state === "canceled";
}

export type SetupResult = BuildResult & { readonly cached: boolean };
