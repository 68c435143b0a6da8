import { StringDecoder } from "node:string_decoder";
import { stripVTControlCharacters } from "node:util";
import { type OutputStreamName, outputStreams } from "../../../shared/job-events.ts";
import { printable } from "../report.ts";
import type { PartOutput } from "./suite-events.ts";

/** One stream of a part: whole lines, and one that has begun. */
class StreamLines {
  readonly #decoder = new StringDecoder("utf8");
  #begun = "";

  write(bytes: Buffer): string[] {
    const lines = (this.#begun + this.#decoder.write(bytes)).split("\n");
    this.#begun = lines.pop() ?? "";
    return lines.map(plain);
  }

  get begun(): string {
    return plain(this.#begun);
  }

  end(): string[] {
    const rest = this.#begun + this.#decoder.end();
    this.#begun = "";
    return rest === "" ? [] : [plain(rest)];
  }
}

/** What the parts of a suite print, line by line, ready to be part of a line of ours. */
export class OutputLines {
  readonly #parts = new Map<string, Readonly<Record<OutputStreamName, StreamLines>>>();
  readonly #last = new Map<string, string>();

  /** @returns the lines that have ended */
  write({ part, stream, bytes }: PartOutput): string[] {
    const streams = this.#parts.get(part) ?? { stdout: new StreamLines(), stderr: new StreamLines() };
    this.#parts.set(part, streams);
    const lines = streams[stream].write(bytes);
    const last = [...lines, streams[stream].begun].findLast((line) => line.trim() !== "");
    if (last !== undefined) this.#last.set(part, last);
    return lines;
  }

  /** The last line of a part that has something in it, also one that has only begun; empty where there is none. */
  lastOf(part: string): string {
    return this.#last.get(part) ?? "";
  }

  /** A part has ended, or prints anew. @returns the lines that it has begun */
  end(part: string): string[] {
    const streams = this.#parts.get(part);
    this.#parts.delete(part);
    this.#last.delete(part);
    return streams === undefined ? [] : outputStreams.flatMap((stream) => streams[stream].end());
  }
}

/** As a terminal would leave the line: without colors, and with what was written last over itself, as bars are. */
function plain(line: string): string {
  const written = stripVTControlCharacters(line).replace(/\r+$/, "");
  return printable(written.slice(written.lastIndexOf("\r") + 1).replaceAll("\t", "    "));
}
