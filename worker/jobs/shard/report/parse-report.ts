import { setImmediate } from "node:timers/promises";
import { TextDecoder } from "node:util";
import { type ReportBounds, ReportFault, ReportReader } from "./report-reader.ts";
import type { SuiteFacts, TestCase } from "./test-case.ts";

/** What is read of a report, and kept of it. */
export const reportBounds: ReportBounds = {
  bytes: 64 * 1024 * 1024,
  tests: 100_000,
  characters: 64 * 1024 * 1024,
  depth: 32,
  attributes: 256,
  failures: 256,
  properties: 256,
  textCharacters: 32 * 1024,
  nameCharacters: 4 * 1024,
};

/** Bytes after which others get their turn: a parser does not wait for anything by itself. */
const BYTES_PER_TURN = 1024 * 1024;

/** How far into a document its declaration is looked for, in bytes. */
const DECLARATION_BYTES = 128;

export interface ParsedReport {
  /** Those before the fault, where there is one. */
  readonly tests: readonly TestCase[];
  /** Of suites that say something, and are complete. */
  readonly suites: readonly SuiteFacts[];
  /** Why the rest of the document could not be read; null when all of it was. */
  readonly fault: string | null;
  /** Of tests and suites, as they are kept. */
  readonly characters: number;
}

/**
 * Reads a report in JUnit's XML, see `report-reader.ts`. What is wrong with it is in the answer: a program that is ended
 * in the middle leaves half of a report. Throws only what the source throws.
 */
export async function parseReport(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  bounds: ReportBounds = reportBounds,
): Promise<ParsedReport> {
  const reader = new ReportReader(bounds);
  const { tests, suites } = reader;
  try {
    let decoder: TextDecoder | undefined;
    let bytes = 0;
    for await (const part of inTurns(source)) {
      bytes += part.length;
      if (bytes > bounds.bytes) throw new ReportFault(`the report is larger than ${bounds.bytes} bytes`);
      decoder ??= decoderFor(part);
      reader.write(decoder.decode(part, { stream: true }));
    }
    if (decoder === undefined) throw new ReportFault("the report is empty");
    reader.write(decoder.decode());
    reader.end();
  } catch (error) {
    if (!(error instanceof ReportFault)) throw error;
    return { tests, suites, fault: error.message, characters: reader.characters };
  }
  return { tests, suites, fault: null, characters: reader.characters };
}

async function* inTurns(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let sinceTurn = 0;
  for await (const piece of source) {
    for (let begin = 0; begin < piece.length; begin += BYTES_PER_TURN) {
      const part = piece.subarray(begin, begin + BYTES_PER_TURN);
      yield part;
      sinceTurn += part.length;
      if (sinceTurn < BYTES_PER_TURN) continue;
      sinceTurn = 0;
      await setImmediate();
    }
  }
}

/** UTF-8, unless the document declares another encoding. */
function decoderFor(begin: Uint8Array): TextDecoder {
  const declaration = Buffer.from(begin.subarray(0, DECLARATION_BYTES)).toString("latin1");
  const encoding = /^<\?xml[^>]*\sencoding\s*=\s*["']([\w.:-]+)["']/.exec(declaration)?.[1] ?? "utf-8";
  try {
    return new TextDecoder(encoding);
  } catch {
    throw new ReportFault(`the encoding ${encoding} of the report is not known`);
  }
}
