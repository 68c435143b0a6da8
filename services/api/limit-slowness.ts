import type { Request, RequestHandler } from "express";

/** How often it is looked how far a body has come, in milliseconds. */
const PERIOD_MS = 20_000;

/** What has to come in each period until the last, in bytes: 4 KiB a second, less than any line carries today. */
const LEAST_BYTES = 80 * 1024;

/**
 * Cuts off whose body hardly comes: a blob may take an hour on a slow line, and a byte now and then would hold a
 * connection for as long.
 */
export function limitSlowness(): RequestHandler {
  return (request, _response, next) => {
    if (hasBody(request)) watch(request);
    next();
  };
}

function hasBody({ headers }: Request): boolean {
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
}

function watch(request: Request): void {
  const { socket } = request;
  let received = socket.bytesRead;
  const timer = setInterval(() => {
    const before = received;
    received = socket.bytesRead;
    if (request.complete) return clearInterval(timer);
    // What nobody takes from the connection cannot come: then it is not the client who is slow.
    const isFull = request.readableLength >= request.readableHighWaterMark;
    if (!isFull && received - before < LEAST_BYTES) socket.destroy();
  }, PERIOD_MS).unref();
  request.once("close", () => clearInterval(timer));
}
