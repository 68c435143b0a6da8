/** The server-sent events of a job, as clients get them. */
import * as z from "zod";
import { encodeContent } from "../../../shared/content.ts";
import type { Job } from "../../../shared/job.ts";
import { jobIdSchema, jobStates } from "../../../shared/job.ts";
import { caseEventSchema } from "../../../shared/judge-result.ts";
import { phaseEventSchema, shardEventSchema, shardPhases } from "../../../shared/shard-result.ts";
import {
  type OutputSource,
  type OutputStreamName,
  outputStreams,
  type ProgressEvent,
  progressNames,
} from "../../../shared/job-events.ts";

/** One event; `data` is put into JSON. */
export interface WatchedEvent {
  readonly id: string;
  readonly name: "state" | OutputStreamName | ProgressEvent["name"] | "result";
  readonly data: unknown;
}

const stateSchema = z
  .strictObject({
    id: jobIdSchema,
    state: z.enum(jobStates),
    attempt: z.int().min(0).meta({ description: "when it grows, what was written before counts for nothing" }),
  })
  .meta({ id: "StateEvent", description: "data of the event `state`" });

const outputSchema = z
  .strictObject({
    offset: z.int().min(0).meta({ description: "bytes of this stream before these" }),
    content: z.string(),
    encoding: z.enum(["utf8", "base64"]).meta({ description: "base64 when the bytes are no valid UTF-8" }),
    shard: z.int().min(1).optional().meta({ description: "the shard that prints it, of a job that has some" }),
    phase: z.enum(shardPhases).optional().meta({ description: "what prints it before there are shards" }),
  })
  .meta({
    id: "OutputEvent",
    description: `data of the events ${outputStreams.map((name) => `\`${name}\``).join(", ")}`,
  });

/** What the OpenAPI document says of the data of events; the result has its kind's form, without what was told. */
export const eventDataSchema = z.union([
  stateSchema,
  outputSchema,
  caseEventSchema,
  phaseEventSchema,
  shardEventSchema,
  z.looseObject({}).meta({ description: "data of the event `result`" }),
]);

export const eventsDescription = [
  "Server-sent events, from the beginning, or from behind the Last-Event-ID:",
  "",
  "- `state`: the job is queued, or an attempt at it has begun; another attempt writes its output anew",
  "- `stdout`, `stderr`: what the program wrote, as it writes it; the same bytes as in the result. With `shard` or `phase`, " +
    "what this part of a job prints while it is watched, up to a mebibyte of each stream",
  `- ${progressNames.map((name) => `\`${name}\``).join(", ")}: how far a job of many parts is`,
  "- `result`: the finished job, without the content of stdout and stderr; nothing follows",
].join("\n");

/** The data of a piece of output. @param source the part of the job that has printed it; none for the job itself */
export function outputData(offset: number, bytes: Uint8Array, source?: OutputSource): z.infer<typeof outputSchema> {
  return { ...source, offset, ...encodeContent(bytes) };
}

/** A finished job without what its reader has had already, piece by piece. */
export function withoutOutput(job: Job): unknown {
  if (job.kind !== "run" || job.result === null) return job;
  const { stdout, stderr } = job.result;
  return { ...job, result: { ...job.result, stdout: sizeOf(stdout), stderr: sizeOf(stderr) } };
}

function sizeOf({ bytes, truncated }: { readonly bytes: number; readonly truncated: boolean }): unknown {
  return { bytes, truncated };
}
