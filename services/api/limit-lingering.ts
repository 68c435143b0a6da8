import type { RequestHandler } from "express";

/** For how long somebody who has the answer may go on with a body that nobody reads, in milliseconds. */
const LINGER_MS = 5000;

/**
 * Cuts off who goes on sending after the answer, which strangers have before anything of a body is read: a connection
 * each, for as long as a blob of a gigabyte may take, would otherwise be theirs.
 *
 * Not after 413, which only holders of keys get: they read it when they have sent what they want to send.
 */
export function limitLingering(): RequestHandler {
  return (request, response, next) => {
    response.once("finish", () => {
      if (request.complete || response.statusCode === 413) return;
      const timer = setTimeout(() => request.socket.destroy(), LINGER_MS);
      request.once("close", () => clearTimeout(timer));
    });
    next();
  };
}
