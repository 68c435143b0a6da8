/**
 * Shows the main thread what a program writes while it runs, when it is asked for:
 *
 *   program ─▶ pipe ─▶ OutputCollector ─▶ OutputFeed ── postMessage ─▶ main thread
 *
 * Nothing is posted before the request, and everything so far with it. Posting waits for nobody: a main thread that is
 * slow holds as much as the collectors keep, and the program never notices.
 */
import type { OutputPiece } from "../output-watch.ts";
import type { RunRequest } from "./run-request.ts";
import type { OutputCollector } from "./streams.ts";

/** What the main thread is sent while a run is under way. */
export interface OutputMessage {
  readonly kind: "output";
  readonly run: number;
  readonly piece: OutputPiece;
}

type PostMessage = (message: OutputMessage, transferred: ArrayBuffer[]) => void;

/** How often a program that writes all the time is heard, in milliseconds: seldom enough to be cheap, live for people. */
const POST_INTERVAL_MS = 25;

/** What is posted at once, however short the time since the last post; as much as a pipe holds. */
const POST_BYTES = 64 * 1024;

interface Source {
  readonly stream: OutputPiece["stream"];
  readonly collector: OutputCollector;
  postedBytes: number;
}

/** One run's output on its way to the main thread. */
export class OutputFeed {
  readonly #run: number;
  readonly #request: RunRequest;
  readonly #post: PostMessage;
  readonly #sources: Source[] = [];
  #quietUntil = 0;

  /** @param post sends a message to the main thread at once */
  constructor(run: number, request: RunRequest, post: PostMessage) {
    this.#run = run;
    this.#request = request;
    this.#post = post;
  }

  /** Readable when output is asked for while the slot waits, of this run or an earlier one. */
  get descriptor(): number {
    return this.#request.descriptor;
  }

  /** To be called when the descriptor is readable; answers whether this run's output is asked for. */
  answerWakeUp(): boolean {
    return this.#request.answerWakeUp();
  }

  /** Adds a stream; those with news at the same time are posted in the order in which they were added. */
  add(stream: OutputPiece["stream"], collector: OutputCollector): void {
    this.#sources.push({ stream, collector, postedBytes: 0 });
  }

  /**
   * Posts what is due.
   * @param now by `performance.now()`
   * @returns when to come back, by the same clock, though nothing new be written; Infinity if there is no need
   */
  advance(now: number): number {
    if (!this.#request.isRequested()) return Infinity;
    const pending = this.#sources.reduce((sum, { collector, postedBytes }) => sum + collector.bytes - postedBytes, 0);
    if (pending === 0) return Infinity;
    if (pending < POST_BYTES && now < this.#quietUntil) return this.#quietUntil;
    for (const source of this.#sources) this.#postFrom(source);
    this.#quietUntil = now + POST_INTERVAL_MS;
    return Infinity;
  }

  #postFrom(source: Source): void {
    const { stream, collector } = source;
    while (source.postedBytes < collector.bytes) {
      const bytes = collector.copy(source.postedBytes, source.postedBytes + POST_BYTES);
      source.postedBytes += bytes.byteLength;
      this.#post({ kind: "output", run: this.#run, piece: { stream, bytes } }, [bytes.buffer]);
    }
  }
}
