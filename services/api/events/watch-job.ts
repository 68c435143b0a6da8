/**
 * Follows one job from a position to its end.
 *
 *   state ─▶ (stdout | stderr | progress)… ─▶ state: another attempt ─▶ … ─▶ rest of the output ─▶ result
 *
 * Every round reads how the job stands, and then its events: if it was finished by then, they are all there. The events
 * are those of the job's stream, a few at a time, and no faster than they are taken. What it has not (nobody had watched,
 * the last bytes, a gap that a crash of Redis made) comes from the result.
 *
 * A watcher is woken when there is news, and has a look now and then by itself; while Redis is away it waits, as the job
 * does.
 */
import { withoutPartialCharacter } from "../../../shared/content.ts";
import { LongshoreError } from "../../../shared/errors.ts";
import { isFinished } from "../../../shared/job.ts";
import {
  isOutput,
  type JobEvents,
  type JobStanding,
  type NumberedEvent,
  outputStreams,
  type OutputStreamName,
} from "../../../shared/job-events.ts";
import type { JobSignals } from "../../../shared/job-signals.ts";
import { type FinishedJobs, outputSizes } from "./finished-jobs.ts";
import { formatPosition, type Position } from "./position.ts";
import { outputData, type WatchedEvent, withoutOutput } from "./watched-event.ts";

/** What watching needs. */
export interface WatchSources {
  readonly events: JobEvents;
  readonly finishedJobs: FinishedJobs;
  /** Of the channel on which finished jobs are published. */
  readonly finished: JobSignals;
  /** Of the channel on which watched jobs are published in which something happened. */
  readonly news: JobSignals;
}

/** Events that are read at once; each has up to 64 KiB. */
const EVENTS_AT_ONCE = 4;

/** Of one event that is made from a result, in bytes. */
const PIECE_BYTES = 64 * 1024;

/** How often a watcher looks without having been told, in milliseconds. */
const LOOK_MS = 10_000;

/**
 * Yields what follows a position, until the job is over or the signal aborts.
 * @throws {LongshoreError} `job_not_found` when the job has expired
 */
export async function* watchJob(
  sources: WatchSources,
  id: string,
  from: Position,
  signal: AbortSignal,
): AsyncGenerator<WatchedEvent, void, void> {
  using waker = new Waker(sources, id, signal);
  const follower = new Follower(sources, id, from);
  while (!signal.aborted) {
    // Before reading: what happens from here on wakes the next round.
    const news = waker.news();
    try {
      yield* follower.round();
    } catch (error) {
      if (!(error instanceof LongshoreError && error.code === "redis_unavailable")) throw error;
    }
    if (follower.isDone) return;
    await news;
  }
}

/** One reader's way through a job. */
class Follower {
  readonly #sources: WatchSources;
  readonly #id: string;
  #position: Position;
  /** Whoever runs the job has been told, or will be. */
  #isWatched = false;

  constructor(sources: WatchSources, id: string, from: Position) {
    this.#sources = sources;
    this.#id = id;
    this.#position = from;
  }

  /** The reader was told of the result. */
  get isDone(): boolean {
    return this.#position.told === "result";
  }

  /** Tells what is new. It may end in the middle with an error: the next round goes on there. */
  async *round(): AsyncGenerator<WatchedEvent, void, void> {
    const { events } = this.#sources;
    if (!this.#isWatched) {
      await events.watch(this.#id);
      this.#isWatched = true;
    }
    const standing = await events.standing(this.#id);
    if (standing === undefined) throw new LongshoreError("job_not_found");
    yield* this.#tellStanding(standing);
    for (;;) {
      const next = await events.read(this.#id, this.#position, EVENTS_AT_ONCE);
      for (const event of next) yield* this.#tellEvent(event);
      if (next.length < EVENTS_AT_ONCE) break;
    }
    if (isFinished(standing)) yield* this.#tellResult();
  }

  *#tellStanding(standing: JobStanding): Generator<WatchedEvent, void, void> {
    const { told, attempt } = this.#position;
    const state = standing.state === "queued" ? "queued" : "running";
    if (standing.attempt !== attempt) yield this.#tellAttempt(state, standing.attempt);
    else if (!isFinished(standing) && state !== told) {
      this.#position = { ...this.#position, told: state };
      yield this.#event("state", { id: this.#id, state, attempt });
    }
  }

  /** What was told of the attempt before counts for nothing. */
  #tellAttempt(state: "queued" | "running", attempt: number): WatchedEvent {
    this.#position = { told: state, attempt, sequence: 0, stdout: 0, stderr: 0 };
    return this.#event("state", { id: this.#id, state, attempt });
  }

  *#tellEvent(event: NumberedEvent): Generator<WatchedEvent, void, void> {
    const { attempt, sequence, name } = event;
    // It was started again after we looked how it stands.
    if (attempt !== this.#position.attempt) yield this.#tellAttempt("running", attempt);
    this.#position = { ...this.#position, sequence };
    if (!isOutput(event)) yield this.#event(name, event.data);
    else if (event.source === undefined) yield* this.#tellOutput(event.name, event.offset, event.bytes);
    // No result has it: it is told as it came.
    else yield this.#event(name, outputData(event.offset, event.bytes, event.source));
  }

  /** Tells what the reader does not have yet. Behind a gap nothing is told: the result has it. */
  *#tellOutput(stream: OutputStreamName, offset: number, bytes: Uint8Array): Generator<WatchedEvent, void, void> {
    const end = this.#position[stream];
    if (end < offset || end >= offset + bytes.byteLength) return;
    const rest = bytes.subarray(end - offset);
    this.#position = { ...this.#position, [stream]: end + rest.byteLength };
    yield this.#event(stream, outputData(end, rest));
  }

  async *#tellResult(): AsyncGenerator<WatchedEvent, void, void> {
    using finished = await this.#sources.finishedJobs.lend(this.#id);
    const sizes = outputSizes(finished.job);
    for (const stream of outputStreams) {
      while (this.#position[stream] < sizes[stream]) {
        const offset = this.#position[stream];
        const piece = finished.bytesOf(stream).subarray(offset, offset + PIECE_BYTES);
        const isLast = offset + piece.byteLength === sizes[stream];
        yield* this.#tellOutput(stream, offset, isLast ? piece : withoutPartialCharacter(piece));
      }
    }
    this.#position = { ...this.#position, told: "result" };
    yield this.#event("result", withoutOutput(finished.job));
  }

  #event(name: WatchedEvent["name"], data: unknown): WatchedEvent {
    return { id: formatPosition(this.#position), name, data };
  }
}

/** Says when a job is worth another look. */
class Waker implements Disposable {
  readonly #resources = new DisposableStack();
  #wake = Promise.withResolvers<void>();

  constructor({ finished, news }: WatchSources, id: string, signal: AbortSignal) {
    const wake = (): void => this.#wake.resolve();
    this.#resources.use(finished.watch(id, wake));
    this.#resources.use(news.watch(id, wake));
    this.#resources.adopt(setInterval(wake, LOOK_MS).unref(), clearInterval);
    signal.addEventListener("abort", wake, { once: true });
    this.#resources.defer(() => signal.removeEventListener("abort", wake));
  }

  /** Resolves when something has happened since this call. */
  async news(): Promise<void> {
    this.#wake = Promise.withResolvers();
    await this.#wake.promise;
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }
}
