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
import type { JobEvent, NumberedEvent, OutputSource, ProgressEvent } from "../shared/job-events.ts";
import type { OutputPiece, OutputWatch } from "./container/output-watch.ts";
import type { Progress } from "./jobs/progress.ts";
import { OutputText } from "./output-text.ts";

/** What is sent at once: large enough for a flood, small enough for a command that others wait behind. */
const BATCH_BYTES = 256 * 1024;

/** Before a Redis that answers that it cannot now is asked again, in milliseconds. */
const PAUSE_MS = 250;

export interface AttemptEventsOptions {
  /** Puts events into the stream of the job. `lost`: this attempt does not hold it any more. */
  readonly append: (events: readonly NumberedEvent[]) => Promise<"appended" | "lost">;
  /** From 1. */
  readonly attempt: number;
  /** Aborts as soon as somebody watches the job. */
  readonly wanted: AbortSignal;
  /** Called for what could not be told, which may be repeated. */
  readonly onFailure: (error: Error) => void;
}

/** What waits to be told: of output what has come, or that a program has ended. */
type Waiting =
  | { readonly kind: "progress"; readonly event: ProgressEvent }
  | { readonly kind: "output"; readonly text: OutputText; readonly piece: OutputPiece }
  | { readonly kind: "end of output"; readonly text: OutputText };

/** The events of one attempt. */
export class AttemptEvents implements Progress {
  readonly output: OutputWatch;
  readonly #options: AttemptEventsOptions;
  readonly #queue: Waiting[] = [];
  /** Of parts of the job, by the name of each. */
  readonly #texts = new Map<string, OutputText>();
  #sequence = 0;
  #sending: Promise<void> | undefined;
  #state: "open" | "closing" | "lost" = "open";

  constructor(options: AttemptEventsOptions) {
    this.#options = options;
    this.output = this.#watchOf(new OutputText());
    options.wanted.addEventListener("abort", () => this.#send(), { once: true });
  }

  outputOf(source: OutputSource, bytesMax: number): OutputWatch {
    const name = JSON.stringify(source);
    const text = this.#texts.get(name) ?? new OutputText(source, bytesMax);
    this.#texts.set(name, text);
    this.#push({ kind: "end of output", text });
    return this.#watchOf(text);
  }

  report(event: ProgressEvent): void {
    this.#push({ kind: "progress", event });
  }

  async flush(): Promise<void> {
    while (this.#sending !== undefined) await this.#sending;
  }

  /** Tells what is left to tell, if it can be told at once. */
  async close(): Promise<void> {
    if (this.#state === "open") this.#state = "closing";
    await this.flush();
  }

  #watchOf(text: OutputText): OutputWatch {
    const onOutput = (piece: OutputPiece): void => {
      const admitted = text.admit(piece);
      if (admitted !== undefined) this.#push({ kind: "output", text, piece: admitted });
    };
    return { wanted: this.#options.wanted, onOutput };
  }

  #push(item: Waiting): void {
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
    while (this.#queue.length > 0) {
      const batch = this.#nextBatch();
      // The first byte of a character waits for the others.
      if (batch.length === 0) continue;
      const status = await this.#insist(() => this.#options.append(batch));
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
      if (item.kind === "output") bytes += item.piece.bytes.byteLength;
      const { attempt } = this.#options;
      for (const event of eventsOf(item)) batch.push({ attempt, sequence: ++this.#sequence, ...event });
    }
    this.#queue.splice(0, taken);
    return batch;
  }
}

function eventsOf(item: Waiting): JobEvent[] {
  switch (item.kind) {
    case "progress":
      return [item.event];
    case "output":
      return item.text.eventsOf(item.piece);
    case "end of output":
      return item.text.end();
    default:
      return item satisfies never;
  }
}
