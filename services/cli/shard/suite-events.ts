/** What happens in a job of kind `shard`, as far as it is shown. */
import * as z from "zod";
import { decodeContent } from "../../../shared/content.ts";
import type { OutputStreamName } from "../../../shared/job-events.ts";
import {
  type PhaseEvent,
  phaseEventSchema,
  type ShardEvent,
  shardEventSchema,
  shardPhases,
} from "../../../shared/shard-result.ts";
import type { ServerSentEvent } from "../event-stream.ts";

/** How a part of a suite stands. */
export type Standing =
  { readonly kind: "phase"; readonly event: PhaseEvent } | { readonly kind: "shard"; readonly event: ShardEvent };

/** Something that a part of a suite has printed. */
export interface PartOutput {
  readonly kind: "output";
  /** Name of the part. */
  readonly part: string;
  readonly stream: OutputStreamName;
  readonly bytes: Buffer;
}

/** `attempt`: the job is begun, for the first time or since its worker was lost. */
export type SuiteEvent = Standing | PartOutput | { readonly kind: "attempt"; readonly attempt: number };

const stateSchema = z.object({ attempt: z.int() });

const outputSchema = z.object({
  content: z.string(),
  encoding: z.enum(["utf8", "base64"]),
  shard: z.int().optional(),
  phase: z.enum(shardPhases).optional(),
});

/** Reads an event of the API; undefined for what is of no part, as the result. */
export function readSuiteEvent({ name, data }: ServerSentEvent): SuiteEvent | undefined {
  switch (name) {
    case "state":
      return { kind: "attempt", attempt: stateSchema.parse(JSON.parse(data)).attempt };
    case "phase":
      return { kind: "phase", event: phaseEventSchema.parse(JSON.parse(data)) };
    case "shard":
      return { kind: "shard", event: shardEventSchema.parse(JSON.parse(data)) };
    case "stdout":
    case "stderr": {
      const { shard, phase, ...content } = outputSchema.parse(JSON.parse(data));
      const part = phase ?? (shard === undefined ? undefined : nameOfShard(shard));
      return part === undefined ? undefined : { kind: "output", part, stream: name, bytes: decodeContent(content) };
    }
    default:
      return undefined;
  }
}

/** By which a part is told from others, and known to who reads what it prints. */
export function nameOf({ kind, event }: Standing): string {
  return kind === "phase" ? event.phase : nameOfShard(event.shard);
}

function nameOfShard(shard: number): string {
  return `shard ${shard}`;
}
