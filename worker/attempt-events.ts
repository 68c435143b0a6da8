/**
 * What happens in one attempt, on its way to those who watch the job:
 *
 *   slot, job ─▶ queue in memory ── when watched, one batch at a time ─▶ stream of the job
 *
 * Nothing waits for Redis. While it is away or slow, the queue grows; it holds no more than the program's outputs may
 * have, and what a job reports of its parts. What cannot be told by the end of the attempt is left out: a watcher finds
 * the rest of the output in the result.
 */
import { setTimeout as delay } from "node:timers/promises";
import { withoutPartialCharacter } from "../shared/content.ts";
import {
  type EventNumber,
  type JobEvents,
  type NumberedEvent,
  type OutputStreamName,
  type ProgressEvent,
} from "../shared/job-events.ts";
import type { OutputPiece, OutputWatch } from "./container/output-watch.ts";
import type { Progress } from "./jobs/progress.ts";

/** What is sent at once: large enough for a flood, small enough for a command that others wait behind. */
const BATCH_BYTES = 256 * 1024;

/** Before a Redis that answers that it cannot now is asked again, in milliseconds. */
const PAUSE_MS = 250;

export interface AttemptEventsOptions {
  readonly events: Pick<JobEvents, "append">;
  readonly job: string;
  /** From 1. */
  readonly attempt: number;
  /** The attempt's own, by which it holds the job. */
  readonly token: string;
  /** Aborts as soon as somebody watches the job. */
  readonly wanted: AbortSignal;
  /** Called for what could not be told, which may be repeated. */
  readonly onFailure: (error: Error) => void;
}

/** The events of one attempt. */
export class AttemptEvents implements Progress {
  readonly output: OutputWatch;
  readonly #options: AttemptEventsOptions;
  readonly #queue: (OutputPiece | ProgressEvent)[] = [];
  /** How many bytes of each stream have become events, and those after them that begin a character. */
  readonly #streams: Record<OutputStreamName, { offset: number; rest: Buffer }> = {
    stdout: { offset: 0, rest: Buffer.alloc(0) },
    stderr: { offset: 0, rest: Buffer.alloc(0) },
  };
  #sequence = 0;
  #sending: Promise<void> | undefined;
  #state: "open" | "closing" | "lost" = "open";

  constructor(options: AttemptEventsOptions) {
    this.#options = options;
    this.output = { wanted: options.wanted, onOutput: (piece) => this.#push(piece) };
    options.wanted.addEventListener("abort", () => this.#send(), { once: true });
  }

  report(event: ProgressEvent): void {
    this.#push(event);
  }

  /** Tells what is left to tell, if it can be told at once. */
  async close(): Promise<void> {
    if (this.#state === "open") this.#state = "closing";
    while (this.#sending !== undefined) await this.#sending;
  }

  #push(item: OutputPiece | ProgressEvent): void {
    if (this.#state !== "open") return;
    this.#queue.push(item);
    this.#send();
  }

  #send(): void {
    if (this.#sending !== undefined || this.#queue.length === 0 || !this.#options.wanted.aborted) return;
    this.#sending = this.#drain().finally(() => {
      this.#sending = undefined;
      // What came after the last look at the queue.
      this.#send();
    });
  }

  async #drain(): Promise<void> {
    const { events, job, token } = this.#options;
    while (this.#queue.length > 0) {
      const batch = this.#nextBatch();
      // The first byte of a character waits for the others.
      if (batch.length === 0) continue;
      const status = await this.#insist(() => events.append(job, { token }, batch));
      if (status === "appended") continue;
      this.#state = "lost";
      this.#queue.length = 0;
    }
  }

  /** Until it is told, or there is no more time. */
  async #insist(append: () => Promise<"appended" | "lost">): Promise<"appended" | "lost"> {
    for (;;) {
      try {
        return await append();
      } catch (error) {
        this.#options.onFailure(error instanceof Error ? error : new Error(String(error)));
        if (this.#state === "closing") return "lost";
      }
      await delay(PAUSE_MS);
    }
  }

  #nextBatch(): NumberedEvent[] {
    const batch: NumberedEvent[] = [];
    let bytes = 0;
    let taken = 0;
    for (; taken < this.#queue.length && bytes < BATCH_BYTES; taken++) {
      const item = this.#queue[taken];
      if (item === undefined) break;
      if ("stream" in item) {
        bytes += item.bytes.byteLength;
        batch.push(...this.#outputEvents(item));
      } else {
        batch.push({ ...this.#nextNumber(), ...item });
      }
    }
    this.#queue.splice(0, taken);
    return batch;
  }

  /** At most one, which ends between two characters if it is text: it can be shown as it is. */
  #outputEvents({ stream, bytes }: OutputPiece): NumberedEvent[] {
    const { offset, rest } = this.#streams[stream];
    const pending = Buffer.concat([rest, bytes]);
    const told = withoutPartialCharacter(pending);
    this.#streams[stream] = { offset: offset + told.byteLength, rest: pending.subarray(told.byteLength) };
    return told.byteLength === 0 ? [] : [{ ...this.#nextNumber(), name: stream, offset, bytes: told }];
  }

  #nextNumber(): EventNumber {
    return { attempt: this.#options.attempt, sequence: ++this.#sequence };
  }
}
