import { withoutPartialCharacter } from "../shared/content.ts";
import { type OutputEvent, type OutputSource, type OutputStreamName, outputStreams } from "../shared/job-events.ts";
import type { OutputPiece } from "./container/output-watch.ts";

/** How far one stream has come. */
interface StreamText {
  /** Bytes that have become events. */
  offset: number;
  /** Those after them, which begin a character. */
  rest: Buffer;
  /** Bytes that have been let in. */
  admitted: number;
}

/** What programs print one after the other, on its way to those who watch: counted, and cut between characters. */
export class OutputText {
  readonly #source: OutputSource | undefined;
  readonly #bytesMax: number;
  readonly #streams: Readonly<Record<OutputStreamName, StreamText>> = { stdout: newStream(), stderr: newStream() };

  /**
   * @param source the part of the job that prints; none for the job itself
   * @param bytesMax of each stream
   */
  constructor(source?: OutputSource, bytesMax = Infinity) {
    this.#source = source;
    this.#bytesMax = bytesMax;
  }

  /** As much of a piece as there is room for; undefined where there is none. */
  admit({ stream, bytes }: OutputPiece): OutputPiece | undefined {
    const text = this.#streams[stream];
    const admitted = bytes.subarray(0, this.#bytesMax - text.admitted);
    text.admitted += admitted.byteLength;
    return admitted.byteLength === 0 ? undefined : { stream, bytes: admitted };
  }

  /** At most one event, which ends between two characters if it is text: it can be shown as it is. */
  eventsOf({ stream, bytes }: OutputPiece): OutputEvent[] {
    const { rest } = this.#streams[stream];
    const pending = Buffer.concat([rest, bytes]);
    const told = withoutPartialCharacter(pending);
    this.#streams[stream].rest = pending.subarray(told.byteLength);
    return this.#tell(stream, told);
  }

  /** A program has ended: whatever begins a character that nobody will end. */
  end(): OutputEvent[] {
    return outputStreams.flatMap((stream) => {
      const { rest } = this.#streams[stream];
      this.#streams[stream].rest = Buffer.alloc(0);
      return this.#tell(stream, rest);
    });
  }

  #tell(name: OutputStreamName, bytes: Uint8Array): OutputEvent[] {
    if (bytes.byteLength === 0) return [];
    const { offset } = this.#streams[name];
    this.#streams[name].offset += bytes.byteLength;
    return [{ name, offset, bytes, ...(this.#source !== undefined && { source: this.#source }) }];
  }
}

function newStream(): StreamText {
  return { offset: 0, rest: Buffer.alloc(0), admitted: 0 };
}
