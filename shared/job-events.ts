/**
 * What happens in a job while it runs, for those who watch it.
 *
 *   API     watch ─▶ the record says so ─▶ (channel) ─▶ attempt: append ─▶ stream of the job ─▶ (channel) ─▶ API: read
 *
 * A job that nobody watches writes nothing here: what its program prints is in its worker's memory, and then in its
 * result. Who begins to watch gets what there is from the beginning, since the attempt hands it over then. The stream
 * lives as long as the job's record, and is empty again when another attempt starts the job anew.
 *
 * Events are numbered by attempt and, from 1, within it. Output is counted in bytes as well: `offset` says how many of
 * its stream came before, so that what a reader has can be continued from the result, too, where the stream ends.
 */
import type { Redis } from "ioredis";
import { LongshoreError } from "./errors.ts";
import type { JobState } from "./job.ts";
import type { shardPhases } from "./shard-result.ts";
import { createKeys, type Keys } from "./keys.ts";
import { withRedis } from "./redis.ts";
import { defineScripts, type ScriptCaller } from "./scripts.ts";

/** What a program writes to. */
export const outputStreams = ["stdout", "stderr"] as const;
export type OutputStreamName = (typeof outputStreams)[number];

/** How far a job of many parts is: one event for each change of a part. */
export const progressNames = ["case", "phase", "shard"] as const;
export type ProgressName = (typeof progressNames)[number];

/** Which part of a job has printed something, where it has parts. */
export type OutputSource = { readonly shard: number } | { readonly phase: (typeof shardPhases)[number] };

/** Some bytes of what a program wrote; `offset` is how many of its stream came before them. */
export interface OutputEvent {
  readonly name: OutputStreamName;
  readonly offset: number;
  readonly bytes: Uint8Array;
  /** Without it, they are the job's own output, which its result has as well. */
  readonly source?: OutputSource;
}

/** Something about a part of a job, which clients are told as it is. */
export interface ProgressEvent {
  readonly name: ProgressName;
  readonly data: Readonly<Record<string, unknown>>;
}

export type JobEvent = OutputEvent | ProgressEvent;

/** Place of an event among those of its job. */
export interface EventNumber {
  readonly attempt: number;
  /** From 1 in each attempt; 0 is before the first. */
  readonly sequence: number;
}

export type NumberedEvent = JobEvent & EventNumber;

/** As much of a job as tells how its events are to be read. */
export interface JobStanding {
  readonly state: JobState;
  readonly attempt: number;
}

export interface JobEventsOptions {
  /** A producer's or a consumer's connection; who made it closes it. */
  readonly redis: Redis;
  readonly queue: string;
}

/** The events of all jobs of an installation. */
export class JobEvents {
  readonly keys: Keys;
  readonly #redis: Redis;
  readonly #call: ScriptCaller;

  constructor({ redis, queue }: JobEventsOptions) {
    this.#redis = redis;
    this.#call = defineScripts(redis);
    this.keys = createKeys(queue);
  }

  /** Has a job's events written from now on, and those so far. `gone`: there is no such job, or it has expired. */
  async watch(id: string): Promise<"watched" | "gone"> {
    const reply = await withRedis(() => this.#call("watch", this.keys.job(id), id, this.keys.watchChannel));
    return reply === 1 ? "watched" : "gone";
  }

  /** Whether somebody watches a job; for who may have missed the message. */
  async isWatched(id: string): Promise<boolean> {
    return (await withRedis(() => this.#redis.hexists(this.keys.job(id), "watched"))) === 1;
  }

  /**
   * Appends events of an attempt; may be repeated when it is not known whether it worked.
   * @returns `lost`: another attempt has the job, or it is finished
   */
  async append(
    id: string,
    attempt: { readonly token: string },
    events: readonly NumberedEvent[],
  ): Promise<"appended" | "lost"> {
    const fields = events.flatMap((event) => [`${event.attempt}-${event.sequence}`, ...toFields(event)]);
    const { newsChannel } = this.keys;
    const reply = await withRedis(() =>
      this.#call(
        "append-events",
        this.keys.job(id),
        this.keys.jobEvents(id),
        id,
        attempt.token,
        newsChannel,
        ...fields,
      ),
    );
    return reply === 1 ? "appended" : "lost";
  }

  /**
   * Appends events to a job that several attempts tell of at once, behind whatever is there: their numbers tell only that
   * a batch is repeated. Nothing is written while nobody watches the job.
   * @param holder the job, or a part of it, and the token by which an attempt has it
   */
  async tell(
    id: string,
    holder: { readonly id: string; readonly token: string },
    events: readonly NumberedEvent[],
  ): Promise<"appended" | "lost"> {
    const [first] = events;
    const reply = await withRedis(() =>
      this.#call(
        "tell",
        this.keys.job(holder.id),
        this.keys.job(id),
        this.keys.jobEvents(id),
        id,
        holder.token,
        this.keys.newsChannel,
        `${holder.token}-${first?.sequence ?? 0}`,
        ...events.flatMap(toFields),
      ),
    );
    return reply === 1 ? "appended" : "lost";
  }

  /** The next events after one, `count` at most, in their order. */
  async read(id: string, after: EventNumber, count: number): Promise<NumberedEvent[]> {
    const begin = `(${after.attempt}-${after.sequence}`;
    const entries = await withRedis(() =>
      this.#redis.xrangeBuffer(this.keys.jobEvents(id), begin, "+", "COUNT", count),
    );
    return entries.map(([number, fields]) => fromEntry(number, fields));
  }

  /** How a job stands, without its result; nothing when there is no such job. */
  async standing(id: string): Promise<JobStanding | undefined> {
    const [state, attempt] = await withRedis(() => this.#redis.hmget(this.keys.job(id), "state", "attempt"));
    return state ? { state: state as JobState, attempt: Number(attempt ?? 0) } : undefined;
  }
}

/** Whether a part of a stream, rather than of a job, is told. */
export function isOutput(event: JobEvent): event is OutputEvent {
  return "bytes" in event;
}

/** Name, offset, data and source as they stand in Redis. */
function toFields(event: JobEvent): [string, number, string | Buffer, string] {
  if (!isOutput(event)) return [event.name, 0, JSON.stringify(event.data), ""];
  const { name, offset, bytes, source } = event;
  const data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return [name, offset, data, source === undefined ? "" : JSON.stringify(source)];
}

function fromEntry(number: Buffer, fields: readonly Buffer[]): NumberedEvent {
  const [attempt, sequence] = number.toString().split("-").map(Number);
  const [, nameField, , offset, , data, , sourceField] = fields;
  const name = nameField?.toString();
  if (attempt === undefined || sequence === undefined || offset === undefined || data === undefined) {
    throw new LongshoreError("internal_error", { message: `event ${number.toString()} is malformed` });
  }
  switch (name) {
    case "stdout":
    case "stderr":
      return { attempt, sequence, name, offset: Number(offset), bytes: data, ...readSource(sourceField) };
    case "case":
    case "phase":
    case "shard":
      return { attempt, sequence, name, data: JSON.parse(data.toString()) as ProgressEvent["data"] };
    default:
      throw new LongshoreError("internal_error", { message: `there are no events named ${String(name)}` });
  }
}

function readSource(field: Buffer | undefined): Pick<OutputEvent, "source"> {
  if (field === undefined || field.byteLength === 0) return {};
  return { source: JSON.parse(field.toString()) as OutputSource };
}
