/** What jobs of every kind are done with, and what becomes of them. */
import type { JobError } from "../../shared/job.ts";
import type { JobResult } from "../../shared/job-result.ts";
import type { Blobs } from "../../shared/blobs/blobs.ts";
import type { OutputContent } from "../../shared/job-store.ts";
import type { JudgeResult } from "../../shared/judge-result.ts";
import type { Limits } from "../../shared/limits.ts";
import type { Presets } from "../../shared/presets.ts";
import type { PartFile, ShardPartRequest, ShardPartResult } from "../../shared/shard-part.ts";
import type { ShardEvent, ShardResult } from "../../shared/shard-result.ts";
import type { ShardStore } from "../../shared/shard-store.ts";
import type { Volumes } from "../../shared/volumes.ts";
import type { OutputWatch } from "../container/output-watch.ts";
import type { ContainerResult, ContainerSpec, OutputSpool, RunResult } from "../container/spec.ts";
import type { BuildLayers } from "../images/builds/build-layers.ts";
import type { BlobSource, InputLayers } from "../images/inputs/input-layers.ts";
import type { ImageSources } from "./image.ts";
import type { CaseBlobs } from "./judge/case-blobs.ts";
import type { KeepContext, WrittenLayers } from "./keep.ts";
import type { Progress } from "./progress.ts";
import type { ReturnedFile } from "./result.ts";

/** Where containers run: a slot of the worker. */
export interface ContainerRunner extends WrittenLayers {
  run(spec: ContainerSpec, signal: AbortSignal, watch?: OutputWatch): Promise<ContainerResult>;
  release(name: string): Promise<void>;
}

/** Which attempt it is that a job is done in. */
export interface AttemptFacts {
  /** Id of the job, or of the part. */
  readonly job: string;
  /** By which the attempt holds it. */
  readonly token: string;
  /** From 1. */
  readonly attempt: number;
  /** Milliseconds between the request and the start of this attempt. */
  readonly queuedMs: number;
  /** For files of the job that memory should not hold; whoever makes the attempt removes it. */
  readonly outputSpool: OutputSpool;
  readonly progress: Progress;
  /** Called when the job begins to wait for its image to be pulled, and has no slot. */
  readonly onPullBegin: () => void;
}

/** One container that ended, for the worker's metrics. */
export interface ContainerReport {
  /** `check`: a program that judges another one. */
  readonly stage: "build" | "run" | "check";
  /** Name of a preset, or nothing. */
  readonly language: string | undefined;
  /** As {@link imageLabel} says. */
  readonly image: string;
  readonly result: RunResult;
}

/** Places for containers besides the slot that a job has. */
export interface FurtherSlots {
  /** A slot that is free, unless somebody waits for one. To be given back soon: others may begin to wait. */
  tryAcquire(): (Disposable & { readonly slot: ContainerRunner }) | undefined;
  /** The place beside a slot, for a program that talks with the one in the slot. Whoever has the slot has it. */
  companionOf(slot: ContainerRunner): Promise<ContainerRunner>;
}

/** Places for containers. */
export interface Slots extends FurtherSlots {
  /** The slot of a job, as soon as there is one. Throws the reason of `signal`. */
  acquire(signal: AbortSignal): Promise<Disposable & { readonly slot: ContainerRunner }>;
}

/** What a worker does jobs with. */
export interface JobContext extends ImageSources, KeepContext {
  readonly slots: Slots;
  /** What compilers wrote. */
  readonly builds: BuildLayers;
  /** Contents that jobs name by digest, and what parts of jobs leave for each other. */
  readonly blobs: BlobSource & Pick<Blobs, "put" | "touch">;
  /** Those of judges' cases that are here already. */
  readonly caseBlobs: CaseBlobs;
  /** What parts of jobs have in common. */
  readonly shards: ShardStore;
  /** Layers that jobs bring. */
  readonly inputs: InputLayers;
  readonly presets: Presets;
  /** What jobs may mount. */
  readonly volumes: Volumes;
  /** The largest limits that this server grants. */
  readonly maxima: Limits;
  /** Called when a container is about to be made; what it returns is disposed of when nothing is left of it. */
  readonly onContainerStart: () => Disposable;
  readonly onContainerEnd: (report: ContainerReport) => void;
}

/** What became of one attempt at a job. */
export type JobOutcome =
  | { readonly kind: "done"; readonly result: JobResult; readonly outputs: readonly ReturnedFile[] }
  | { readonly kind: "judged"; readonly result: JudgeResult }
  /** The job has been divided; it is to be put together when these are over. */
  | { readonly kind: "divided"; readonly parts: readonly ShardPartRequest[] }
  /** `event` is the last of the part, and says whether it was stopped. */
  | {
      readonly kind: "part over";
      readonly result: PartOutcome;
      readonly outputs: readonly ReturnedFile[];
      readonly event: ShardEvent;
    }
  | {
      readonly kind: "merged";
      readonly result: ShardResult;
      readonly outputs: readonly (ReturnedFile | OutputContent)[];
    }
  /** `retry`: whether another attempt may fare better. */
  | { readonly kind: "failed"; readonly error: JobError; readonly retry: "worthwhile" | "pointless" }
  | { readonly kind: "canceled" };

/** The result of a part, of whose files those are known that are not there. */
export type PartOutcome = Omit<ShardPartResult, "files"> & {
  readonly missing: readonly Extract<PartFile, { error: string }>[];
};

export type FailedOutcome = Extract<JobOutcome, { kind: "failed" }>;

/** An attempt that failed by our own account, or the host's. */
export function failed(code: JobError["code"], message: string, retry: "worthwhile" | "pointless"): FailedOutcome {
  return { kind: "failed", error: { code, message }, retry };
}
