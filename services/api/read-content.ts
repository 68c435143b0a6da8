import type { Request } from "express";
import { LongshoreError } from "../../shared/errors.ts";

/** The body of a request as it comes. */
export interface RequestContent {
  /** As the client announced; undefined where it did not. */
  readonly bytes: number | undefined;
  readonly content: AsyncIterable<Buffer>;
}

/**
 * Reads a body as bytes, in pieces. What is named by its digest must be what was sent: a content-encoding is refused,
 * not undone. Throws `unsupported_media_type`; while it is read, `invalid_request` when the client goes away.
 */
export function readContent(request: Request): RequestContent {
  const encoding = request.headers["content-encoding"] ?? "identity";
  if (encoding.toLowerCase() !== "identity") {
    throw new LongshoreError("unsupported_media_type", {
      message: "send the bytes as they are, without content-encoding; a compressed file is a file",
    });
  }
  const announced = request.headers["content-length"];
  return { bytes: announced === undefined ? undefined : Number(announced), content: pieces(request) };
}

async function* pieces(request: Request): AsyncGenerator<Buffer> {
  try {
    // Not destroyed where it is left before its end: an answer still has to go out on the connection.
    for await (const piece of request.iterator({ destroyOnReturn: false })) yield piece as Buffer;
  } catch (error) {
    if (!request.destroyed) throw error;
    throw new LongshoreError("invalid_request", { message: "the body ended before its content-length", cause: error });
  } finally {
    // A client reads its refusal when it has sent what it wants to send: the rest is let through, to nowhere.
    request.resume();
  }
}
