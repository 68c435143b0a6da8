/** Reads the body of a request as JSON, without changing a byte of its meaning. */
import { isUtf8 } from "node:buffer";
import express, { type Request, type RequestHandler, type Response } from "express";
import { LongshoreError } from "../../shared/errors.ts";

/** Reads bodies of up to `limitBytes`, counted after decompression. */
export type JsonReader = (request: Request, response: Response) => Promise<unknown>;

/**
 * express.json() would replace what is no UTF-8 and would parse other charsets; here both are refused, since what
 * a program gets must be what was sent.
 */
export function createJsonReader(limitBytes: number): JsonReader {
  const readBytes: RequestHandler = express.raw({ limit: limitBytes, type: () => true });
  return async (request, response) => {
    if (!isJson(request)) throw new LongshoreError("unsupported_media_type");
    await new Promise<void>((resolve, reject) => {
      void readBytes(request, response, (error?: unknown) => {
        if (error === undefined) resolve();
        else reject(toReadError(error));
      });
    });
    const bytes: unknown = request.body;
    if (!Buffer.isBuffer(bytes)) throw new LongshoreError("invalid_json", { message: "the body is empty" });
    if (!isUtf8(bytes)) throw new LongshoreError("invalid_json", { message: "the body is not valid UTF-8" });
    try {
      return JSON.parse(bytes.toString("utf8"));
    } catch {
      // Not as its cause, which is logged: parsers quote what they read, and bodies hold secrets.
      throw new LongshoreError("invalid_json");
    }
  };
}

function isJson(request: Request): boolean {
  const [mediaType = "", ...parameters] = (request.headers["content-type"] ?? "").toLowerCase().split(";");
  const charsets = parameters.map((text) => text.trim()).filter((text) => text.startsWith("charset="));
  return mediaType.trim() === "application/json" && charsets.every((text) => /^charset="?utf-?8"?$/.test(text));
}

/** body-parser's errors carry a `type`: https://github.com/expressjs/body-parser#errors */
function toReadError(error: unknown): unknown {
  const type: unknown = error instanceof Error && "type" in error ? error.type : undefined;
  switch (type) {
    case "entity.too.large":
      return new LongshoreError("body_too_large", { cause: error });
    case "encoding.unsupported":
      return new LongshoreError("unsupported_media_type", {
        message: "send the body as it is, or with content-encoding: gzip, deflate or br",
        cause: error,
      });
    case "request.size.invalid":
    case "request.aborted":
      return new LongshoreError("invalid_request", {
        message: "the body ended before its content-length",
        cause: error,
      });
    default:
      // a decompressor's error has a code of zlib's
      return error instanceof Error && "code" in error && String(error.code).startsWith("Z_")
        ? new LongshoreError("invalid_request", { message: "the body is not in its content-encoding", cause: error })
        : error;
  }
}
