import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Request, Response } from "express";
import { LongshoreError } from "../../shared/errors.ts";

/** Bytes that have been found, and that nobody reads yet. */
interface Content {
  readonly bytes: number;
  read(): AsyncIterable<Buffer>;
}

/** Answers with bytes as they come; a HEAD with how many there are. */
export async function sendContent(request: Request, response: Response, { bytes, read }: Content): Promise<void> {
  response.set("content-length", String(bytes));
  if (request.method === "HEAD") {
    response.end();
    return;
  }
  await pipeline(Readable.from(read(), { objectMode: false }), response).catch((error: unknown) => {
    // A client that does not want the rest is no fault.
    if (!response.destroyed || error instanceof LongshoreError) throw error;
  });
}
